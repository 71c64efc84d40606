//! Writes NATS JetStream messages to TimescaleDB, from inside PostgreSQL.
//!
//! The path of a message, folder by folder: `nats` (one thread for all connections to NATS) →
//! `decode` → `row` → [`worker`] (one transaction: rows to the [`destination`], dead letters and
//! position to the [`catalog`]) → back to `nats`, which acknowledges. [`config`] reads the
//! settings, [`status`] shows the state to operators, and [`control`] contains the functions that
//! they call. [`pg`] wraps PostgreSQL safely.

// PostgreSQL errors unwind through Rust frames as panics.
#[cfg(not(panic = "unwind"))]
compile_error!("build with panic = \"unwind\": an abort would restart the whole cluster");

#[macro_use]
mod log;

mod catalog;
mod config;
mod control;
mod destination;
mod error;
mod pg;
mod status;
mod worker;

use pgrx::prelude::*;

pgrx::pg_module_magic!(name, version);

/// Called by PostgreSQL when the library is loaded.
#[allow(non_snake_case, reason = "PostgreSQL gives the name")]
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    if !pg::server::is_preloading() {
        error::UserError::NotPreloaded.raise();
    }
    config::define();
    status::request();
    worker::register();
}
