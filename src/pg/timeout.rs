//! A timeout for the work of the main thread in one transaction. PostgreSQL arms its statement
//! timeout for client sessions only; this arms the same timer, whose handler cancels the statement
//! as usual.

use pgrx::prelude::*;
use std::ffi::c_int;
use std::time::Duration;

/// `STATEMENT_TIMEOUT` of `utils/timeout.h`, the same in PostgreSQL 17 and 18.
const STATEMENT_TIMEOUT: c_int = 3;

// Not in pgrx's bindings. Both only touch the timer of this process.
unsafe extern "C-unwind" {
    fn enable_timeout_after(id: c_int, delay_ms: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// A running statement timeout; disarmed when dropped.
pub struct StatementTimeout(());

impl StatementTimeout {
    /// Cancels the running statement when `timeout` has passed, with SQLSTATE 57014.
    pub fn start(timeout: Duration) -> Self {
        let ms = c_int::try_from(timeout.as_millis())
            .unwrap_or(c_int::MAX)
            .max(1);
        // SAFETY: main thread of a process whose timers InitPostgres has set up.
        unsafe { enable_timeout_after(STATEMENT_TIMEOUT, ms) };
        Self(())
    }
}

impl Drop for StatementTimeout {
    fn drop(&mut self) {
        // SAFETY: as above. A cancel that came too late for this statement must not hit the next
        // one.
        unsafe {
            disable_timeout(STATEMENT_TIMEOUT, false);
            (&raw mut pg_sys::QueryCancelPending).write_volatile(0);
        }
    }
}
