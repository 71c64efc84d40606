//! Wakes or ends the workers, when the transaction of a session commits.

use crate::pg::other_processes;
use crate::status;

/// Wakes the workers at commit, so that they read the control tables at once. An unnecessary
/// wake-up is harmless, so a savepoint that is rolled back needs no special treatment.
pub fn wake_on_commit() {
    pgrx::register_xact_callback(pgrx::PgXactCallbackEvent::Commit, || {
        status::count_control_change();
        status::pids().into_iter().for_each(other_processes::wake);
    });
}

/// Ends the workers, even while they wait for a lock.
pub fn terminate() {
    status::pids()
        .into_iter()
        .for_each(other_processes::terminate);
}
