//! What `pg_stat_activity` shows of this process.

use pgrx::prelude::*;
use std::ffi::CStr;

/// Makes what the transaction counted visible in `pg_stat_*`, and the session idle.
pub fn report_idle() {
    // SAFETY: on the main thread, outside a transaction.
    unsafe {
        pg_sys::pgstat_report_stat(false);
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
    }
}

/// Shows `query` as this session's running statement.
pub fn report_running(query: &CStr) {
    // SAFETY: the text is copied.
    unsafe {
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, query.as_ptr());
    }
}
