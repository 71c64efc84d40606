//! `search_path` of the background worker, and of sessions that do its work. Statements that run as
//! superuser look up operators and types only where nobody else can create any. The configured path
//! serves two purposes only: to find a destination by its name, and to run code of its owner.

use super::failure::Failure;
use super::sql_state::SqlState;
use pgrx::prelude::*;
use std::borrow::Cow;
use std::ffi::{CStr, CString};

/// The path of everything that runs as superuser. `pg_temp` is last; left out, it would be first.
const PINNED: &CStr = c"pg_catalog, pg_temp";
const NAME: &CStr = c"search_path";

/// The path along which destinations are found, and which their triggers see.
#[derive(Clone, Debug)]
pub enum SearchPath {
    /// The path that is configured for this session now; it follows a reload.
    OfSession,
    /// A fixed path.
    Given(CString),
}

impl SearchPath {
    /// Returns the path of everything that runs as superuser.
    pub fn pinned() -> Self {
        Self::Given(PINNED.to_owned())
    }

    /// Sets it until the current nest level of settings ends.
    pub fn apply(&self) {
        match self {
            Self::Given(path) => set(path, pg_sys::GucAction::GUC_ACTION_SAVE),
            Self::OfSession => set(&of_session(), pg_sys::GucAction::GUC_ACTION_SAVE),
        }
    }

    /// Runs `body` under this path. After an error, the abort of the (sub)transaction restores the
    /// old one.
    pub fn within<T>(&self, body: impl FnOnce() -> T) -> T {
        // SAFETY: main thread, inside a transaction; the level is closed below, or by the abort.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        self.apply();
        let result = body();
        // SAFETY: the level begun above is the innermost one.
        unsafe { pg_sys::AtEOXact_GUC(false, level) };
        result
    }
}

/// Sets the path of everything that runs as superuser until the end of the transaction.
pub fn pin() {
    set(PINNED, pg_sys::GucAction::GUC_ACTION_LOCAL);
}

fn set(path: &CStr, action: pg_sys::GucAction::Type) {
    // SAFETY: main thread, inside a transaction; the values are copied.
    unsafe {
        pg_sys::set_config_option(
            NAME.as_ptr(),
            path.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

/// Returns the configured path. The session never changes its reset value, so that is the one.
fn of_session() -> CString {
    // SAFETY: main thread; the setting exists, and its value is copied before anything changes it.
    let path = unsafe {
        let path = pg_sys::GetConfigOptionResetString(NAME.as_ptr());
        match path.is_null() {
            true => Cow::Borrowed(""),
            false => CStr::from_ptr(path).to_string_lossy(),
        }
    };
    CString::new(temporary_last(&path)).unwrap_or_default()
}

/// Puts `pg_temp` last, so that a temporary object made by a trigger hides no table and no type.
fn temporary_last(path: &str) -> String {
    let is_temporary = |name: &str| {
        name.trim()
            .trim_matches('"')
            .eq_ignore_ascii_case("pg_temp")
    };
    match path.trim() {
        "" => "pg_temp".to_owned(),
        path if path.split(',').any(is_temporary) => path.to_owned(),
        path => format!("{path}, pg_temp"),
    }
}

/// Returns the path that a worker's session starts with: by PostgreSQL's precedence, that of the
/// bootstrap superuser in this database, else that of the server.
///
/// # Errors
/// Those of the database.
pub fn of_the_worker() -> Result<SearchPath, Failure> {
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
    CString::new(temporary_last(&path.unwrap_or_default()))
        .map(SearchPath::Given)
        .map_err(|_| {
            Failure::new(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                "search_path holds a NUL byte",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_objects_come_last_unless_the_path_names_their_place() {
        assert_eq!(temporary_last(" "), "pg_temp");
        assert_eq!(temporary_last("a, \"b c\""), "a, \"b c\", pg_temp");
        assert_eq!(temporary_last("my_pg_temp"), "my_pg_temp, pg_temp");
        for path in ["pg_temp", "a, PG_TEMP", "\"pg_temp\",a"] {
            assert_eq!(temporary_last(path), path);
        }
    }
}
