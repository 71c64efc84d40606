//! The one place where the main thread waits, with a name that `pg_stat_activity` shows.

use pgrx::prelude::*;
use std::time::Duration;

/// What the worker waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// To be switched on, or for the extension.
    Start,
    /// NATS is not connected.
    Nats,
    /// Messages.
    Messages,
    /// The next try after a database error.
    Backoff,
}

/// Numbers of the wait events, once PostgreSQL has given them.
pub struct Events([u32; 4]);

impl Events {
    /// Asks PostgreSQL for the names. Main thread, attached to shared memory.
    pub fn register() -> Self {
        // SAFETY: constant strings; a name that is known already gives the same number.
        let number =
            |name: &std::ffi::CStr| unsafe { pg_sys::WaitEventExtensionNew(name.as_ptr()) };
        Self([
            number(c"SrEventWriterStart"),
            number(c"SrEventWriterNats"),
            number(c"SrEventWriterIdle"),
            number(c"SrEventWriterBackoff"),
        ])
    }

    /// Waits until the latch is set or `longest` has passed. Ends the process with the postmaster.
    pub fn wait(&self, what: For, longest: Duration) {
        let [start, nats, messages, backoff] = self.0;
        let event = match what {
            For::Start => start,
            For::Nats => nats,
            For::Messages => messages,
            For::Backoff => backoff,
        };
        let flags = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        let ms = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        // SAFETY: main thread, its own latch.
        unsafe { pg_sys::WaitLatch(pg_sys::MyLatch, flags as i32, ms, event) };
    }
}

/// Clears the latch. To be called before looking what there is to do, never after.
pub fn reset() {
    // SAFETY: main thread, its own latch.
    unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
}

/// Now, as PostgreSQL stores it.
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
