//! How a session reaches the workers once its transaction has committed, and not before.

use crate::status::page;
use pgrx::prelude::*;
use std::ffi::c_int;

// Not in pgrx's bindings: it is of the C library.
unsafe extern "C" {
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

/// At the commit, lets the workers read the control tables at once. One time too many costs nothing,
/// so a savepoint that is rolled back needs no care.
pub fn tell_workers_at_commit() {
    pgrx::register_xact_callback(pgrx::PgXactCallbackEvent::Commit, || {
        for pid in page::announce() {
            // SAFETY: main thread of this session. The process may have ended: then its slot of
            // shared memory stays valid, and at worst another process wakes up for nothing.
            unsafe {
                if let Some(process) = pg_sys::BackendPidGetProc(pid).as_mut() {
                    pg_sys::SetLatch(&raw mut process.procLatch);
                }
            }
        }
    });
}

/// Ends the workers as `pg_terminate_backend` does: at once, also from a lock wait.
pub fn terminate_workers() {
    for pid in page::pids() {
        // SAFETY: the process belongs to this cluster, as it is among its processes.
        unsafe {
            if !pg_sys::BackendPidGetProc(pid).is_null() {
                kill(pid, pg_sys::SIGTERM as c_int);
            }
        }
    }
}
