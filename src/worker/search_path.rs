//! The worker's `search_path`, for a session that does the worker's work: an unqualified table, and
//! what a trigger names without a schema, must be the same for both, whatever the caller's own path.

use super::failure::Failure;
use pgrx::prelude::*;
use std::ffi::{CStr, CString};

/// Runs `body` under `path`. After an error the abort of the subtransaction takes it back.
///
/// # Errors
/// Those of `body`.
pub fn within<T>(path: &CStr, body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // SAFETY: main thread, inside a transaction; the level is closed below, as a function with a
    // SET clause does it, or by the abort.
    let level = unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            c"search_path".as_ptr(),
            path.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        level
    };
    let result = body();
    // SAFETY: the level begun above is the innermost one.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// The path that a worker's session starts with: that of the bootstrap superuser in this database,
/// by the precedence of PostgreSQL, else the server's.
///
/// Temporary tables of the caller come last. Unmentioned they would come first.
///
/// # Errors
/// What the database says.
pub fn of_the_worker() -> Result<CString, Failure> {
    let query = "SELECT COALESCE(
            (SELECT pg_catalog.substr(c, 13)
                FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
                WHERE pg_catalog.starts_with(c, 'search_path=') AND s.setrole IN (0, 10)
                    AND s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database()))
                ORDER BY s.setrole DESC, s.setdatabase DESC LIMIT 1),
            (SELECT f.setting FROM pg_catalog.pg_file_settings f
                WHERE pg_catalog.lower(f.name) = 'search_path' AND f.applied
                ORDER BY f.seqno DESC LIMIT 1),
            (SELECT b.boot_val FROM pg_catalog.pg_settings b WHERE b.name = 'search_path'))";
    let path: Option<String> = Spi::get_one(query)?;
    let path = path.unwrap_or_default();
    let path = match path.trim() {
        "" => "pg_temp".to_owned(),
        path if path.contains("pg_temp") => path.to_owned(),
        path => format!("{path}, pg_temp"),
    };
    CString::new(path).map_err(|_| Failure::new("22021", "search_path holds a NUL byte"))
}
