//! Settings of the worker's own session. Defaults that an administrator sets for a role, a database
//! or the server (timeouts, read only, another isolation level) are meant for clients; here they
//! would end the worker again and again, or make each batch fail.

use pgrx::prelude::*;
use std::ffi::CStr;

const SETTINGS: [(&CStr, &CStr); 13] = [
    (c"application_name", c"sr_event_writer"),
    // Acknowledgements wait for the flush, so transactions need not.
    (c"synchronous_commit", c"off"),
    // A read-only default is meant to protect from clients.
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    // No transaction reads anything twice, so a stricter level could only cause failures.
    (c"default_transaction_isolation", c"read committed"),
    // Ends the session, while `insert_timeout` cancels the batch.
    (c"transaction_timeout", c"0"),
    // While one pipeline waits for a lock, no other can write, so it tries again later. Longer than
    // the usual deadlock_timeout, after which PostgreSQL also cancels an autovacuum that holds the
    // lock.
    (c"lock_timeout", c"2s"),
    // Tables are written as their owner, and everything else is done as the session's superuser.
    (c"role", c"none"),
    // Would put rows into the hypertable's root, where nobody sees them. Nothing is written while a
    // database is being restored, but a session that began then would keep the setting.
    (c"timescaledb.restoring", c"off"),
    // COPY reads text in client_encoding, and rows are UTF-8.
    (c"client_encoding", c"UTF8"),
    // Would end the session at any error, even that of a single row.
    (c"exit_on_error", c"off"),
    // When off, a table whose policies bind its owner refuses each row.
    (c"row_security", c"on"),
    // Parallel workers would need dynamic shared memory, which is created with signals blocked.
    (c"max_parallel_workers_per_gather", c"0"),
];

/// Settings with which any trigger could end the session, and with it all pipelines: from here on
/// only superusers may change them.
const SUPERUSER_ONLY: [&CStr; 2] = [c"exit_on_error", c"transaction_timeout"];

/// Sets them with a priority above any configuration, for the life of the session.
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
    for name in SUPERUSER_ONLY {
        // SAFETY: main thread; the settings exist, and their records are in this process's memory
        // alone.
        unsafe {
            let found = pg_sys::find_option(name.as_ptr(), false, true, PgLogLevel::ERROR as i32);
            if let Some(setting) = found.as_mut() {
                setting.context = pg_sys::GucContext::PGC_SUSET;
            }
        }
    }
}
