//! The latch of this process, and the one place where its main thread waits.

use pgrx::prelude::*;
use std::ffi::CStr;
use std::time::Duration;

/// What a process waits for, by a name that `pg_stat_activity` shows.
#[derive(Clone, Copy)]
pub struct WaitEvent(u32);

impl WaitEvent {
    /// Asks PostgreSQL for the number of a name. To be called when attached to shared memory.
    pub fn register(name: &CStr) -> Self {
        // SAFETY: main thread; the name is copied, and one that is known gives the same number
        // again.
        Self(unsafe { pg_sys::WaitEventExtensionNew(name.as_ptr()) })
    }
}

/// Waits until the latch is set or `longest` has passed, at least a millisecond. Ends the process
/// with the postmaster.
pub fn wait(event: WaitEvent, longest: Duration) {
    let flags = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let ms = i64::try_from(longest.as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    // SAFETY: main thread, its own latch.
    unsafe { pg_sys::WaitLatch(pg_sys::MyLatch, flags as i32, ms, event.0) };
}

/// Clears the latch. To be called before looking what there is to do, never after.
pub fn reset() {
    // SAFETY: main thread, its own latch.
    unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
}
