//! A part of a transaction that can fail alone, like an EXCEPTION block of PL/pgSQL.

use super::failure::Failure;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;

/// What happens to the changes of a body that succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// They become part of the transaction.
    Keep,
    /// They are rolled back, because the body only tries something out.
    Undo,
}

/// Returns the number of the innermost subtransaction, or of the transaction itself. Inside one.
#[must_use]
pub fn current() -> pg_sys::SubTransactionId {
    // SAFETY: main thread, inside a transaction.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

/// Runs `body` in a subtransaction, and rolls that back when it fails.
///
/// A cancelled statement and a Rust panic go on after the rollback.
pub fn run<T>(end: End, body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // SAFETY: main thread, inside a transaction; both outlive the subtransaction.
    let (context, owner) = unsafe {
        let before = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(before.0);
        before
    };
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| Ok(body())))
        .catch_others(|error| Err(Box::new(error)))
        .execute();
    // SAFETY: the subtransaction begun above is the current one: those inside it were ended by the
    // body, or end with it.
    unsafe {
        pg_sys::MemoryContextSwitchTo(context);
        match (&outcome, end) {
            (Ok(Ok(_)), End::Keep) => pg_sys::ReleaseCurrentSubTransaction(),
            _ => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
    }
    let error = match outcome {
        Ok(result) => return result,
        Err(error) => *error,
    };
    match error {
        panic @ CaughtError::RustPanic { .. } => panic.rethrow(),
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => {
            let failure = Failure::from_report(&report);
            if failure.is_cancelled() {
                // A cancel is meant for the whole statement. It is raised again, because PostgreSQL
                // freed its copy of the error when this one was caught.
                CaughtError::ErrorReport(report).rethrow()
            }
            Err(failure)
        }
    }
}
