//! All workers together: the state of the one that is worst off, and whether they are alive.

use super::processes;
use super::shared_memory::SharedStatus;
use super::state::State;
use super::worker_status::WorkerStatus;
use crate::config;
use crate::pg::clock::now;
use crate::pg::server;
use pgrx::prelude::*;
use std::fmt::{self, Display, Formatter};
use std::sync::atomic::Ordering;

/// Microseconds without a sign of life after which a worker, which shows one every second, is
/// unresponsive.
const SILENT_AFTER: i64 = 10_000_000;

/// State of all workers together, and why.
pub struct Overall {
    /// The worst state of any worker.
    pub state: State,
    /// The cause and what happens next, in words.
    pub reason: String,
    /// Time since which that is so, in microseconds since 2000-01-01; 0 when unknown.
    pub since: i64,
}

/// Returns the state of the worker that is worst off.
pub fn overall(status: &SharedStatus) -> Overall {
    if server::is_standby() {
        let reason = "this server is a standby; only the primary consumes".to_owned();
        return Overall {
            state: State::Standby,
            reason,
            since: 0,
        };
    }
    let workers = status.workers.iter().take(config::workers()).enumerate();
    let workers = workers.map(|(number, worker)| one(number, worker));
    workers
        .max_by_key(|overall| overall.state.rank())
        .unwrap_or(Overall {
            state: State::Stopped,
            reason: String::new(),
            since: 0,
        })
}

fn one(number: usize, worker: &WorkerStatus) -> Overall {
    if let Some(silence) = Silence::of(number) {
        return Overall {
            state: State::Unresponsive,
            reason: silence.to_string(),
            since: silence.since,
        };
    }
    let alive = processes::pid(number).is_some() || worker.state == State::Starting;
    let reason = match alive {
        true => worker.reason.get().to_owned(),
        false => {
            "the background worker is not running; PostgreSQL starts it again by itself".to_owned()
        }
    };
    let state = if alive { worker.state } else { State::Stopped };
    Overall {
        state,
        reason,
        since: worker.since,
    }
}

/// What a worker's process does not show any more: a sign of life.
pub struct Silence {
    pid: i32,
    /// Its last sign of life, as PostgreSQL stores it.
    since: i64,
    seconds: i64,
}

impl Silence {
    /// Returns the silence of worker number `worker`, if its process is silent.
    pub fn of(worker: usize) -> Option<Self> {
        // The process first: it shows itself after its first sign of life.
        let pid = processes::pid(worker)?;
        let since = processes::heartbeat(worker)?.load(Ordering::Relaxed);
        let age = now().checked_sub(since)?;
        (age > SILENT_AFTER).then_some(Self {
            pid,
            since,
            seconds: age / 1_000_000,
        })
    }

    /// Returns the time of the last sign of life, as PostgreSQL stores it.
    pub fn since(&self) -> i64 {
        self.since
    }
}

impl Display for Silence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} has shown no sign of life for {} s",
            self.pid, self.seconds
        )
    }
}

/// Returns whether any of the workers shows no sign of life, so that its status is old.
pub fn any_silent() -> bool {
    (0..config::workers()).any(|worker| Silence::of(worker).is_some())
}

/// Returns a point in time, or `None` for 0, which is "never".
pub fn time(at: i64) -> Option<TimestampWithTimeZone> {
    (at != 0)
        .then(|| TimestampWithTimeZone::try_from(at).ok())
        .flatten()
}
