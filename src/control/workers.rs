//! How a session reaches the workers once its transaction has committed, and not before.

use crate::pg::other_processes;
use crate::status;

/// At the commit, lets the workers read the control tables at once. A wake-up too many is harmless,
/// so a savepoint that is rolled back needs no care.
pub fn wake_on_commit() {
    pgrx::register_xact_callback(pgrx::PgXactCallbackEvent::Commit, || {
        status::announce()
            .into_iter()
            .for_each(other_processes::wake);
    });
}

/// Ends the workers at once, also from a lock wait.
pub fn terminate() {
    status::pids()
        .into_iter()
        .for_each(other_processes::terminate);
}
