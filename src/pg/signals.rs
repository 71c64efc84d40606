//! Signals of a background worker: PostgreSQL's own handlers, so that a lock wait or a long
//! statement ends at once when the server stops. They run on the main thread only: every other
//! thread blocks them.

use pgrx::prelude::*;
use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

// Declared here and not taken from pgrx, whose bindings wrap a call in a guard that must not run
// inside a signal handler.
unsafe extern "C-unwind" {
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
    fn SignalHandlerForCrashExit(signal: c_int);
}

/// PostgreSQL takes its own note of a SIGTERM back when it acts on it.
static TOLD_TO_STOP: AtomicBool = AtomicBool::new(false);

/// The file that is marked by a crash. -1 when there is none.
static NOTE: AtomicI32 = AtomicI32::new(-1);

/// What a crash writes at the beginning of that file.
static MARKER: OnceLock<&'static str> = OnceLock::new();

/// A panic is on its way to end the process.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// What the kernel sends to a process that cannot go on. Not SIGFPE, which PostgreSQL turns into an
/// error of the statement.
const CRASHES: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGABRT];

/// Installs the handlers and lets signals in. To be called first in the worker.
pub fn attach() {
    // SAFETY: handlers of PostgreSQL's own, installed before signals are let in.
    unsafe {
        handle(pg_sys::SIGTERM as c_int, stop);
        handle(pg_sys::SIGQUIT as c_int, quit);
        for signal in CRASHES {
            handle(signal, crash);
        }
        handle(pg_sys::SIGHUP as c_int, SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
    // PostgreSQL lets a new worker ignore SIGHUP, and so loses one that came since the fork.
    // SAFETY: the flag that the handler sets.
    unsafe { (&raw mut pg_sys::ConfigReloadPending).write_volatile(1) };
}

unsafe extern "C-unwind" fn stop(signal: c_int) {
    TOLD_TO_STOP.store(true, Ordering::Relaxed);
    // SAFETY: PostgreSQL's own handler.
    unsafe { die(signal) };
}

/// Ends the process as SIGTERM does, as soon as it can be ended. Safe in a signal handler.
pub fn end() {
    // SAFETY: PostgreSQL's own handler.
    unsafe { die(pg_sys::SIGTERM as c_int) };
}

/// Another process crashed, or the server is stopped at once: this one ends in the handler.
unsafe extern "C-unwind" fn quit(signal: c_int) {
    forget();
    // SAFETY: PostgreSQL's own handler.
    unsafe { SignalHandlerForCrashExit(signal) };
}

/// The process crashes: says so in the note, and does.
unsafe extern "C-unwind" fn crash(signal: c_int) {
    mark_crash();
    // SAFETY: the signal's own action, for its second coming when this handler has returned.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// From now on a crash of this process writes `marker` at the beginning of an open file, and every
/// other end of it but a kill empties the file.
pub fn mark_on_crash(descriptor: c_int, marker: &'static str) {
    // Before the descriptor: a handler that sees that one finds the marker.
    MARKER.get_or_init(|| marker);
    NOTE.store(descriptor, Ordering::Relaxed);
}

/// A panic ends the process, as a crash does.
pub fn panicking() {
    PANICKED.store(true, Ordering::Relaxed);
    mark_crash();
}

/// The process ends as processes do.
pub fn ending() {
    if !PANICKED.load(Ordering::Relaxed) {
        forget();
    }
}

/// Safe in a signal handler.
fn mark_crash() {
    let descriptor = NOTE.load(Ordering::Relaxed);
    if descriptor >= 0
        && let Some(marker) = MARKER.get()
    {
        // SAFETY: a system call that may be made in a signal handler, with a constant text.
        unsafe { libc::pwrite(descriptor, marker.as_ptr().cast(), marker.len(), 0) };
    }
}

/// Empties the note. Safe in a signal handler.
fn forget() {
    let descriptor = NOTE.load(Ordering::Relaxed);
    if descriptor >= 0 {
        // SAFETY: a system call that may be made in a signal handler; what it cannot do stays
        // undone.
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

/// Whether the process was told to end.
pub fn told_to_stop() -> bool {
    TOLD_TO_STOP.load(Ordering::Relaxed)
}

/// Processes pending interrupts. Outside a transaction, where a cancel that came too late for a
/// statement is dropped as in an idle session: it would end the process.
pub fn process_interrupts() {
    // SAFETY: main thread. The count defers a cancel while it is above zero; what ends the process
    // here does not need it to be lowered.
    unsafe {
        let deferred = &raw mut pg_sys::QueryCancelHoldoffCount;
        deferred.write_volatile(deferred.read_volatile() + 1);
        check_for_interrupts!();
        deferred.write_volatile(deferred.read_volatile() - 1);
        (&raw mut pg_sys::QueryCancelPending).write_volatile(0);
    }
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
