//! Settings of the worker's own session. What an administrator sets as a default for the sessions
//! of a role, of a database or of everybody (time limits, read only, another isolation) is meant
//! for clients; here it would end the worker again and again, or fail each batch.

use pgrx::prelude::*;
use std::ffi::CStr;

const SETTINGS: [(&CStr, &CStr); 13] = [
    (c"application_name", c"sr_event_writer"),
    // Acknowledgements wait for the flush; the transaction does not have to.
    (c"synchronous_commit", c"off"),
    // A cluster whose default is read only is no reason to stop writing what was acknowledged for.
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    // Nothing is read twice in a transaction, and a stricter level could only fail.
    (c"default_transaction_isolation", c"read committed"),
    // Ends the session, while `insert_timeout` cancels the batch.
    (c"transaction_timeout", c"0"),
    // While one pipeline waits for a lock, no other can write: better to come again. Longer than
    // deadlock_timeout usually is, which also sends an autovacuum away that is in the way.
    (c"lock_timeout", c"2s"),
    // Tables are written as their owner, and everything else as the superuser that this session is.
    (c"role", c"none"),
    // Would put rows beside the chunks, where nobody sees them. While a database is being restored
    // nothing is written at all; a session that began then would keep the setting for good.
    (c"timescaledb.restoring", c"off"),
    // COPY reads text in the encoding of the session's client, and rows are UTF-8.
    (c"client_encoding", c"UTF8"),
    // Ends the session with any error, and an error may be that of a single row.
    (c"exit_on_error", c"off"),
    // Would refuse each row of a table whose policies bind its owner.
    (c"row_security", c"on"),
    // Parallel workers would need dynamic shared memory, made under blocked signals.
    (c"max_parallel_workers_per_gather", c"0"),
];

/// With these anybody could end the session from a trigger, and all pipelines with it.
const SUPERUSERS: [&CStr; 2] = [c"exit_on_error", c"transaction_timeout"];

/// Sets them above whatever is configured, for good.
pub fn override_all() {
    for (name, value) in SETTINGS {
        // SAFETY: main thread; both are constant strings and valid settings.
        unsafe {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_OVERRIDE,
            );
        }
    }
    for name in SUPERUSERS {
        // SAFETY: main thread; a setting that exists is found, in memory of this process alone.
        unsafe {
            let found = pg_sys::find_option(name.as_ptr(), false, true, PgLogLevel::ERROR as i32);
            if let Some(setting) = found.as_mut() {
                setting.context = pg_sys::GucContext::PGC_SUSET;
            }
        }
    }
}
