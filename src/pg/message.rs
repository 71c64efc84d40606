//! Sends a message with its parts to the server log and to the client.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Sends a message with the parts that it has. With level ERROR it does not return.
pub fn send(
    level: PgLogLevel,
    sqlstate: PgSqlErrorCode,
    message: String,
    detail: Option<&str>,
    hint: Option<&str>,
) {
    let mut report = ErrorReport::new(sqlstate, message, "");
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report.report(level);
}
