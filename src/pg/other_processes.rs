//! Signals to other processes of this server, by process id.

use pgrx::prelude::*;
use std::ffi::c_int;

// Not in pgrx's bindings, since it belongs to the C library.
unsafe extern "C" {
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

/// Sets the latch of a process, if it exists.
pub fn wake(pid: i32) {
    // SAFETY: main thread. If the process has ended, its slot in shared memory is still valid, and
    // at worst another process wakes up without need.
    unsafe {
        if let Some(process) = pg_sys::BackendPidGetProc(pid).as_mut() {
            pg_sys::SetLatch(&raw mut process.procLatch);
        }
    }
}

/// Terminates a process as `pg_terminate_backend` does: at once, even while it waits for a lock.
pub fn terminate(pid: i32) {
    // SAFETY: the process belongs to this cluster, since it is among its processes.
    unsafe {
        if !pg_sys::BackendPidGetProc(pid).is_null() {
            kill(pid, pg_sys::SIGTERM as c_int);
        }
    }
}
