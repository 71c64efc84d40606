//! Signals of the worker: PostgreSQL's own handlers, so that a lock wait or a long statement ends
//! at once when the server stops. They run on the main thread only: every other thread blocks them.

use pgrx::prelude::*;
use std::ffi::c_int;

// Declared here and not taken from pgrx, whose bindings wrap a call in a guard that must not run
// inside a signal handler.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
}

/// Installs the handlers and lets signals in. To be called first in the worker.
pub fn attach() {
    // SAFETY: handlers of PostgreSQL's own, installed before signals are let in.
    unsafe {
        handle(pg_sys::SIGTERM as c_int, die);
        handle(pg_sys::SIGHUP as c_int, SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
    // PostgreSQL lets a new worker ignore SIGHUP, and so loses one that came since the fork.
    // SAFETY: the flag that the handler sets.
    unsafe { (&raw mut pg_sys::ConfigReloadPending).write_volatile(1) };
}

unsafe fn handle(signal: c_int, handler: unsafe extern "C-unwind" fn(c_int)) {
    // SAFETY: the caller passes a handler made for signals.
    #[cfg(feature = "pg17")]
    unsafe {
        pg_sys::pqsignal(signal, Some(handler))
    };
    // SAFETY: as above.
    #[cfg(feature = "pg18")]
    unsafe {
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}

/// Whether the process was told to end.
pub fn told_to_stop() -> bool {
    // SAFETY: a flag that a signal handler sets.
    unsafe { (&raw const pg_sys::ProcDiePending).read_volatile() != 0 }
}

/// Reads the configuration file again if a reload was asked for; whether it was.
pub fn reload_if_asked() -> bool {
    // SAFETY: a flag that a signal handler sets; the file is read on the main thread.
    unsafe {
        if (&raw const pg_sys::ConfigReloadPending).read_volatile() == 0 {
            return false;
        }
        (&raw mut pg_sys::ConfigReloadPending).write_volatile(0);
        pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
    }
    true
}
