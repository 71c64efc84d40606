//! Check hooks of settings: an invalid value is refused when it is set, with a DETAIL that gives
//! the reason.

use super::parse;
use pgrx::guc::GucCheckError;
use pgrx::prelude::*;
use std::ffi::{CStr, c_char, c_void};

/// Defines a check hook, with the signature that PostgreSQL requires, around a function that checks
/// the text.
macro_rules! check_hook {
    ($(#[$doc:meta])* $name:ident, $judge:expr) => {
        check_hook!($(#[$doc])* $name, $judge, None);
    };
    ($(#[$doc:meta])* $name:ident, $judge:expr, $message:expr) => {
        $(#[$doc])*
        #[pg_guard]
        pub(super) unsafe extern "C-unwind" fn $name(
            value: *mut *mut c_char,
            _extra: *mut *mut c_void,
            _source: pg_sys::GucSource::Type,
        ) -> bool {
            // SAFETY: PostgreSQL passes a pointer to the proposed value, which is NULL or a string
            // that lives until the hook returns.
            unsafe { judge(value, $judge, $message) }
        }
    };
}

check_hook!(
    /// Checks `sr_event_writer.streams`.
    streams,
    |text| parse::streams(text).map(drop)
);
check_hook!(
    /// Checks `sr_event_writer.nats_url`. The value is not repeated, because it may hold a
    /// password.
    servers,
    |text| parse::servers(text).map(drop),
    Some("invalid value for parameter \"sr_event_writer.nats_url\"")
);
check_hook!(
    /// Checks `sr_event_writer.nats_inbox_prefix`.
    inbox_prefix,
    parse::inbox_prefix
);
check_hook!(
    /// Checks the settings that name a file.
    file,
    parse::file
);
check_hook!(
    /// Checks `sr_event_writer.nats_tls_server_name`.
    host_name,
    parse::host_name
);
check_hook!(
    /// Checks `sr_event_writer.nats_domain`.
    domain,
    parse::token
);
check_hook!(
    /// Checks `sr_event_writer.consumer`.
    consumer,
    |text| match text.is_empty() {
        true => Err(parse::ParseError("It may not be empty.".to_owned())),
        false => parse::token(text),
    }
);
check_hook!(
    /// Checks `sr_event_writer.dead_letter_subject`.
    subject,
    parse::subject_prefix
);
check_hook!(
    /// Checks `sr_event_writer.stream_NAME`.
    options,
    |text| parse::options(text).map(drop)
);

/// Checks a proposed value with `judge`. If it is refused, sets the DETAIL, and replaces the
/// primary message by `message` if there is one.
///
/// # Safety
/// `value` points to NULL or to a NUL-terminated string; the caller is a check hook.
unsafe fn judge(
    value: *mut *mut c_char,
    judge: impl FnOnce(&str) -> Result<(), parse::ParseError>,
    message: Option<&str>,
) -> bool {
    // SAFETY: see above.
    let text = unsafe { (*value).as_ref().map(|first| CStr::from_ptr(first)) };
    let verdict = match text.unwrap_or_default().to_str() {
        Ok(text) => judge(text).map_err(|error| error.0),
        Err(_) => Err("It must be UTF-8.".to_owned()),
    };
    let Err(reason) = verdict else { return true };
    // PostgreSQL's own message names the setting and the value.
    let error = message.map_or_else(GucCheckError::default, GucCheckError::new);
    // SAFETY: called from within a check hook.
    unsafe { error.with_detail(reason).apply() };
    false
}
