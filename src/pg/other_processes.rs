//! Other processes of this server, by their process id.

use pgrx::prelude::*;
use std::ffi::c_int;

// Not in pgrx's bindings: it is of the C library.
unsafe extern "C" {
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

/// Sets the latch of a process, if it is there.
pub fn wake(pid: i32) {
    // SAFETY: main thread. The process may have ended: then its slot of shared memory stays valid,
    // and at worst another process wakes up for nothing.
    unsafe {
        if let Some(process) = pg_sys::BackendPidGetProc(pid).as_mut() {
            pg_sys::SetLatch(&raw mut process.procLatch);
        }
    }
}

/// Ends a process as `pg_terminate_backend` does: at once, also from a lock wait.
pub fn terminate(pid: i32) {
    // SAFETY: the process belongs to this cluster, as it is among its processes.
    unsafe {
        if !pg_sys::BackendPidGetProc(pid).is_null() {
            kill(pid, pg_sys::SIGTERM as c_int);
        }
    }
}
