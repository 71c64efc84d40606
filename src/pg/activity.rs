//! What `pg_stat_activity` shows of this process.

use pgrx::prelude::*;
use std::ffi::CStr;

/// Publishes the transaction's statistics to `pg_stat_*` and shows the session as idle.
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
