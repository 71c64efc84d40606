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
        $(#[$doc])*
        #[pg_guard]
        pub(super) unsafe extern "C-unwind" fn $name(
            value: *mut *mut c_char,
            _extra: *mut *mut c_void,
            _source: pg_sys::GucSource::Type,
        ) -> bool {
            // SAFETY: PostgreSQL passes a pointer to the proposed value, which is NULL or a string
            // that lives until the hook returns.
            unsafe { judge(value, $judge) }
        }
    };
}

check_hook!(
    /// Checks `sr_event_writer.streams`.
    streams,
    |text| parse::streams(text).map(drop)
);
check_hook!(
    /// Checks `sr_event_writer.nats_url`.
    servers,
    |text| parse::servers(text).map(drop)
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

/// Checks a proposed value with `judge`, and sets the DETAIL if it is refused.
///
/// # Safety
/// `value` points to NULL or to a NUL-terminated string; the caller is a check hook.
unsafe fn judge(
    value: *mut *mut c_char,
    judge: impl FnOnce(&str) -> Result<(), parse::ParseError>,
) -> bool {
    // SAFETY: see above.
    let text = unsafe { (*value).as_ref().map(|first| CStr::from_ptr(first)) };
    let verdict = match text.unwrap_or_default().to_str() {
        Ok(text) => judge(text).map_err(|error| error.0),
        Err(_) => Err("It must be UTF-8.".to_owned()),
    };
    let Err(reason) = verdict else { return true };
    // SAFETY: called from within a check hook. Only the DETAIL is set, so that PostgreSQL's own
    // message still names the setting and the value.
    unsafe { GucCheckError::default().with_detail(reason).apply() };
    false
}
