//! Restarts the workers. This is an action, not a state, so it must follow the transaction exactly:
//! when a savepoint is rolled back, a request made after it is cancelled.

use super::workers;
use crate::pg::subtransaction;
use pgrx::prelude::*;
use pgrx::{PgSubXactCallbackEvent, PgXactCallbackEvent};
use std::cell::RefCell;

thread_local! {
    /// The (sub)transactions of this session that have requested a restart.
    static WANTED: RefCell<Vec<pg_sys::SubTransactionId>> = const { RefCell::new(Vec::new()) };
}

/// Ends the worker processes at commit; PostgreSQL starts new ones.
#[pg_extern]
fn sr_event_writer_restart() {
    let first = change(|wanted| {
        let first = wanted.is_empty();
        wanted.push(subtransaction::current());
        first
    });
    if !first {
        return;
    }
    // The callbacks are dropped at the end of the transaction.
    pgrx::register_subxact_callback(PgSubXactCallbackEvent::AbortSub, |mine, _| {
        change(|wanted| wanted.retain(|id| *id != mine));
    });
    pgrx::register_subxact_callback(PgSubXactCallbackEvent::CommitSub, |mine, parent| {
        change(|wanted| {
            let mine = wanted.iter_mut().filter(|id| **id == mine);
            mine.for_each(|id| *id = parent);
        });
    });
    pgrx::register_xact_callback(PgXactCallbackEvent::Commit, || {
        if !change(std::mem::take).is_empty() {
            workers::terminate();
        }
    });
    pgrx::register_xact_callback(PgXactCallbackEvent::Abort, || change(Vec::clear));
    pgrx::register_xact_callback(PgXactCallbackEvent::Prepare, || change(Vec::clear));
}

/// Applies a change to the list of requests.
fn change<T>(how: impl FnOnce(&mut Vec<pg_sys::SubTransactionId>) -> T) -> T {
    WANTED.with_borrow_mut(how)
}
