//! Lines of the server log about one pipeline. All begin with its name, so that operators can
//! search for it.

/// Logs a line about a pipeline: `pipeline_log!(name, "...")`, with the arguments of `format!`.
macro_rules! pipeline_log {
    ($pipeline:expr, $($text:tt)+) => {
        pgrx::log!("sr_event_writer: stream {}: {}", $pipeline, format_args!($($text)+))
    };
}

/// Logs a warning about a pipeline, like [`pipeline_log`].
macro_rules! pipeline_warning {
    ($pipeline:expr, $($text:tt)+) => {
        pgrx::warning!("sr_event_writer: stream {}: {}", $pipeline, format_args!($($text)+))
    };
}
