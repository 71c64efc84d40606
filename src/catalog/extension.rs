//! The extension itself: whether its tables are there, and may be touched.

use crate::pg::failure::Failure;
use crate::pg::server;
use pgrx::prelude::*;

/// The extension's tables as the worker finds them.
pub enum Extension {
    /// The extension is not in this database.
    Missing,
    /// The database is being restored: its tables are not to be touched.
    Restoring,
    /// It is there. The number tells one `CREATE EXTENSION` from the next.
    Present(pg_sys::Oid),
}

impl Extension {
    /// Looks for the extension in this database.
    ///
    /// # Errors
    /// What the database says.
    pub fn look_up() -> Result<Self, Failure> {
        let Some(extension) = server::extension(c"sr_event_writer") else {
            return Ok(Self::Missing);
        };
        if is_restoring()? {
            return Ok(Self::Restoring);
        }
        Ok(Self::Present(extension))
    }
}

/// Returns whether `timescaledb_pre_restore()` was called. It sets the default of the database,
/// which a database session that is already running does not see.
fn is_restoring() -> Result<bool, Failure> {
    let query = "SELECT EXISTS (
            SELECT FROM pg_catalog.pg_db_role_setting s
            JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND s.setrole = 0,
                pg_catalog.unnest(s.setconfig) AS setting
            WHERE d.datname = pg_catalog.current_database()
                AND setting ~* '^timescaledb\\.restoring=(on|t|true|y|yes|1)$')";
    Ok(Spi::get_one(query)?.unwrap_or(false))
}
