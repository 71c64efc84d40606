//! The latch of this process, and the one place where its main thread waits.

use pgrx::prelude::*;
use std::ffi::CStr;
use std::time::Duration;

/// A wait event: `pg_stat_activity` shows its name while a process waits for it.
#[derive(Clone, Copy)]
pub struct WaitEvent(u32);

impl WaitEvent {
    /// Registers a wait event under `name`. The process must be attached to shared memory.
    pub fn register(name: &CStr) -> Self {
        // SAFETY: main thread; the name is copied, and a known name gives the same number again.
        Self(unsafe { pg_sys::WaitEventExtensionNew(name.as_ptr()) })
    }
}

/// Waits until the latch is set or `longest` has passed, but at least a millisecond. The process
/// exits if the postmaster dies.
pub fn wait(event: WaitEvent, longest: Duration) {
    let flags = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let ms = i64::try_from(longest.as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    // SAFETY: main thread, its own latch.
    unsafe { pg_sys::WaitLatch(pg_sys::MyLatch, flags as i32, ms, event.0) };
}

/// Resets the latch. Call it before checking for work, never after, or a wake-up is lost.
pub fn reset() {
    // SAFETY: main thread, its own latch.
    unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
}
