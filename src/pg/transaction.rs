//! Transactions of the worker, with every error returned as a value. After an error nothing may
//! touch the database before the abort, so both are handled here.

use super::deferred;
use super::failure::Failure;
use super::heartbeat::TransactionHeartbeat;
use super::search_path;
use super::signals;
use super::timeout::StatementTimeout;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Runs `body` in a transaction that commits when it returns `Ok`, and is rolled back otherwise.
///
/// If the transaction takes longer than `timeout`, its statement is cancelled. A Rust panic goes on
/// after the rollback and ends the worker.
pub fn run<T>(timeout: Duration, body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let _heartbeat = TransactionHeartbeat::start(timeout);
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: on the main thread, outside any transaction.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        search_path::pin();
        deferred::set_all_immediate();
        let timer = StatementTimeout::start(timeout);
        let value = body()?;
        drop(timer);
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
        // SAFETY: the transaction is open, and has failed or is abandoned by `body`.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    release_advisory_locks();
    outcome
}

/// Releases advisory locks of the session, the one kind of lock that a trigger can leave behind.
fn release_advisory_locks() {
    // SAFETY: main thread, outside a transaction; this session itself takes no such lock.
    unsafe { pg_sys::LockReleaseSession(pg_sys::USER_LOCKMETHOD as pg_sys::LOCKMETHODID) };
}
