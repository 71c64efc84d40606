//! One transaction of the worker: begun, committed, or aborted as a whole, with every error as a
//! value. After an error nothing may touch the database before the abort, so both are here.

use super::deferred;
use super::failure::Failure;
use super::heartbeat::Busy;
use super::search_path;
use super::signals;
use super::timeout::Limit;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Runs `body` in a transaction that commits when it returns `Ok`, and is rolled back otherwise.
///
/// A statement that runs longer than `limit` is cancelled. A Rust panic passes on, after the
/// rollback: it ends the worker.
pub fn run<T>(limit: Duration, body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let _busy = Busy::start(limit);
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: on the main thread, outside any transaction.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        search_path::pin();
        deferred::fire_at_once();
        let limit = Limit::start(limit);
        let value = body()?;
        drop(limit);
        // SAFETY: the snapshot and the transaction begun above are still the current ones.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
        Ok(value)
    }))
    .catch_others(|error| {
        if let CaughtError::RustPanic { .. } = error {
            signals::panicking();
            error.rethrow();
        }
        Err(Failure::from(error))
    })
    .execute();
    if outcome.is_err() {
        // SAFETY: the transaction is open and failed, or was given up by `body`.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    release_advisory_locks();
    outcome
}

/// Those of the session are the one kind of lock that a trigger could leave behind.
fn release_advisory_locks() {
    // SAFETY: main thread, outside a transaction; they are of this session, which takes none
    // itself.
    unsafe { pg_sys::LockReleaseSession(pg_sys::USER_LOCKMETHOD as pg_sys::LOCKMETHODID) };
}
