//! The background worker, the only place where NATS and PostgreSQL meet.
//!
//! [`main_loop`] is its loop. A message enters through [`pipeline`], is written by it (with
//! [`crate::destination`] and [`crate::catalog`] in one transaction) and leaves through
//! [`ack_queue`]. Everything here runs on the main thread; it waits nowhere but in
//! [`crate::pg::latch`].

mod ack_queue;
mod breaker;
mod explanation;
mod main_loop;
mod pipeline;
mod poison;
mod refused;
mod report;
mod resume;
mod retention;
mod schedule;
mod wait_reason;

use crate::config;
use crate::destination::Stdin;
use crate::pg::{heartbeat, invalidation, server, session_defaults, signals};
use crate::status;
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;
use poison::CrashJournal;
use std::time::Duration;

/// Delay before PostgreSQL restarts a worker that has ended with an error.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Registers the workers with the postmaster. Only under `shared_preload_libraries`.
pub fn register() {
    if !server::takes_workers() {
        return;
    }
    for number in 0..config::workers() {
        BackgroundWorkerBuilder::new(&format!("sr_event_writer {number}"))
            .set_type("sr_event_writer")
            .set_library("sr_event_writer")
            .set_function("sr_event_writer_main")
            .set_argument(i32::try_from(number).unwrap_or(0).into_datum())
            .enable_spi_access()
            // Never on a standby, and without intervention after a promotion.
            .set_start_time(BgWorkerStartTime::RecoveryFinished)
            .set_restart_time(Some(RESTART_AFTER))
            .load();
    }
}

/// Entry point of a worker process. The process always ends with an exit code that makes PostgreSQL
/// restart it.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sr_event_writer_main(argument: pg_sys::Datum) {
    let number = argument.value();
    signals::attach();
    report::connecting(number, &config::database());
    BackgroundWorker::connect_worker_to_spi(Some(&config::database()), None);
    prepare_session(number);
    match Stdin::replace() {
        Ok(stdin) => {
            let crash_journal = CrashJournal::open(number);
            main_loop::Worker::new(
                number,
                pipeline::WriteResources {
                    stdin,
                    crash_journal,
                },
            )
            .run();
        }
        Err(error) => error!("sr_event_writer: standard input cannot be replaced: {error}"),
    }
}

/// Prepares the database session, and publishes the pid and the heartbeat of the process.
fn prepare_session(number: usize) {
    session_defaults::override_all();
    // SAFETY: main thread, attached to shared memory.
    unsafe { pg_sys::before_shmem_exit(Some(ended), pg_sys::Datum::from(number)) };
    // Before the pid is published, because the heartbeat of an earlier process says nothing about
    // this one.
    if let Some(place) = status::heartbeat(number) {
        heartbeat::start(place);
    }
    // SAFETY: as above.
    status::set_pid(number, unsafe { pg_sys::MyProcPid });
    invalidation::register();
}

#[pg_guard]
unsafe extern "C-unwind" fn ended(_code: i32, number: pg_sys::Datum) {
    status::set_pid(number.value(), 0);
    signals::record_regular_exit();
}
