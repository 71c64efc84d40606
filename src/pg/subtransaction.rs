//! A part of a session's transaction that can fail alone, as an EXCEPTION block of PL/pgSQL.

use super::failure::Failure;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;

/// What becomes of the changes of a body that succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// They belong to the transaction.
    Keep,
    /// They are undone: it was only to be tried.
    Undo,
}

/// Returns the number of the innermost subtransaction, or of the transaction itself. Inside one.
#[must_use]
pub fn current() -> pg_sys::SubTransactionId {
    // SAFETY: main thread, inside a transaction.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

/// Runs `body`. When it fails, whatever it did is undone, and only that.
///
/// A cancelled statement and a Rust panic pass on, after that.
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
    // SAFETY: the subtransaction begun above is the current one: whatever began below it was ended
    // by the body, or is ended with it.
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
                // Whoever cancels means the whole statement. Raised anew: PostgreSQL's own copy of
                // the error is gone since it was caught.
                CaughtError::ErrorReport(report).rethrow()
            }
            Err(failure)
        }
    }
}
