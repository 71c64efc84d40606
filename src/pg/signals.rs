//! Signals of a background worker. PostgreSQL's own handlers are used, so that a lock wait or a
//! long statement ends at once when the server stops. They run on the main thread only, because
//! every other thread blocks all signals.

use pgrx::prelude::*;
use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

// Declared here because pgrx's bindings wrap each call in a guard that must not run inside a signal
// handler.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
    fn SignalHandlerForCrashExit(signal: c_int);
}

/// Whether a SIGTERM has arrived. PostgreSQL clears its own flag when it acts on it.
static STOP_REQUESTED: AtomicBool = AtomicBool::new(false);

/// Descriptor of the file that a crash marks; -1 when there is none.
static NOTE: AtomicI32 = AtomicI32::new(-1);

/// Text that a crash writes at the beginning of that file.
static MARKER: OnceLock<&'static str> = OnceLock::new();

/// Whether a panic is ending the process.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Signals of a process that cannot go on. SIGFPE is not one: PostgreSQL turns it into an error of
/// the statement.
const CRASHES: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGABRT];

/// Installs the handlers and unblocks signals. Call it first in the worker.
pub fn attach() {
    // SAFETY: the handlers are made for signals, and installed before signals are unblocked.
    unsafe {
        handle(pg_sys::SIGTERM as c_int, stop);
        handle(pg_sys::SIGQUIT as c_int, quit);
        for signal in CRASHES {
            handle(signal, crash);
        }
        handle(pg_sys::SIGHUP as c_int, SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
    // PostgreSQL makes a new worker ignore SIGHUP, so one that came since the fork is lost: reload
    // once. SAFETY: the flag that the handler of SIGHUP sets.
    unsafe { (&raw mut pg_sys::ConfigReloadPending).write_volatile(1) };
}

unsafe extern "C-unwind" fn stop(signal: c_int) {
    STOP_REQUESTED.store(true, Ordering::Relaxed);
    // SAFETY: PostgreSQL's own handler.
    unsafe { die(signal) };
}

/// Ends the process as SIGTERM does, at the next opportunity. Safe in a signal handler.
pub fn request_exit() {
    // SAFETY: PostgreSQL's own handler.
    unsafe { die(pg_sys::SIGTERM as c_int) };
}

/// Ends the process inside the handler: another process has crashed, or the server stops
/// immediately.
unsafe extern "C-unwind" fn quit(signal: c_int) {
    clear_crash_mark();
    // SAFETY: PostgreSQL's own handler.
    unsafe { SignalHandlerForCrashExit(signal) };
}

/// Marks the file, then lets the process crash.
unsafe extern "C-unwind" fn crash(signal: c_int) {
    mark_crash();
    // SAFETY: restores the default action, which the raised signal triggers when this handler
    // returns.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// From now on, a crash of this process writes `marker` at the beginning of the open file, and any
/// other end except SIGKILL empties the file.
pub fn mark_on_crash(descriptor: c_int, marker: &'static str) {
    // Before the descriptor, so that a handler which sees the descriptor finds the marker.
    MARKER.get_or_init(|| marker);
    NOTE.store(descriptor, Ordering::Relaxed);
}

/// Records that a panic ends the process, and marks the file as a crash does.
pub fn panicking() {
    PANICKED.store(true, Ordering::Relaxed);
    mark_crash();
}

/// Records a regular end of the process: empties the file, unless a panic ends it.
pub fn record_regular_exit() {
    if !PANICKED.load(Ordering::Relaxed) {
        clear_crash_mark();
    }
}

/// Marks the file. Safe in a signal handler.
fn mark_crash() {
    let descriptor = NOTE.load(Ordering::Relaxed);
    if descriptor >= 0
        && let Some(marker) = MARKER.get()
    {
        // SAFETY: a system call that is permitted in a signal handler, with a constant text.
        unsafe { libc::pwrite(descriptor, marker.as_ptr().cast(), marker.len(), 0) };
    }
}

/// Empties the file. Safe in a signal handler.
fn clear_crash_mark() {
    let descriptor = NOTE.load(Ordering::Relaxed);
    if descriptor >= 0 {
        // SAFETY: a system call that is permitted in a signal handler; a failure changes nothing.
        unsafe { libc::ftruncate(descriptor, 0) };
    }
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

/// Returns whether the process has been asked to stop.
pub fn stop_requested() -> bool {
    STOP_REQUESTED.load(Ordering::Relaxed)
}

/// Processes pending interrupts. Outside a transaction only: a cancel that came too late for its
/// statement is dropped, as in an idle session, because here it would end the process.
pub fn process_interrupts() {
    // SAFETY: main thread. A count above zero holds off a cancel; if an interrupt ends the process,
    // the count no longer matters.
    unsafe {
        let deferred = &raw mut pg_sys::QueryCancelHoldoffCount;
        deferred.write_volatile(deferred.read_volatile() + 1);
        check_for_interrupts!();
        deferred.write_volatile(deferred.read_volatile() - 1);
        (&raw mut pg_sys::QueryCancelPending).write_volatile(0);
    }
}

/// Reads the configuration files again if a reload was requested, and returns whether it was.
pub fn reload_settings_if_requested() -> bool {
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
