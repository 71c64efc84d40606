//! Restarts the workers. This is an action, not a state, so it must follow the transaction exactly:
//! when a savepoint is rolled back, a request made after it is cancelled.

use super::workers;
use crate::pg::subtransaction;
use pgrx::prelude::*;
use pgrx::{PgSubXactCallbackEvent, PgXactCallbackEvent};
use std::cell::RefCell;

thread_local! {
    /// The (sub)transactions of this session that have requested a restart.
    static REQUESTS: RefCell<Vec<pg_sys::SubTransactionId>> = const { RefCell::new(Vec::new()) };
}

/// Ends the worker processes at commit; PostgreSQL starts new ones.
#[pg_extern]
fn sr_event_writer_restart() {
    let first = update_requests(|requests| {
        let first = requests.is_empty();
        requests.push(subtransaction::current());
        first
    });
    if !first {
        return;
    }
    // The callbacks are dropped at the end of the transaction.
    pgrx::register_subxact_callback(PgSubXactCallbackEvent::AbortSub, |mine, _| {
        update_requests(|requests| requests.retain(|id| *id != mine));
    });
    pgrx::register_subxact_callback(PgSubXactCallbackEvent::CommitSub, |mine, parent| {
        update_requests(|requests| {
            let mine = requests.iter_mut().filter(|id| **id == mine);
            mine.for_each(|id| *id = parent);
        });
    });
    pgrx::register_xact_callback(PgXactCallbackEvent::Commit, || {
        if !update_requests(std::mem::take).is_empty() {
            workers::terminate();
        }
    });
    pgrx::register_xact_callback(PgXactCallbackEvent::Abort, || update_requests(Vec::clear));
    pgrx::register_xact_callback(PgXactCallbackEvent::Prepare, || update_requests(Vec::clear));
}

/// Applies a change to the list of requests.
fn update_requests<T>(change: impl FnOnce(&mut Vec<pg_sys::SubTransactionId>) -> T) -> T {
    REQUESTS.with_borrow_mut(change)
}
