//! PostgreSQL's clock.

use pgrx::prelude::*;

/// Returns the time in microseconds since 2000-01-01, as PostgreSQL stores it.
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
