//! Looks up whether the extension exists, and whether its tables may be used.

use crate::pg::failure::Failure;
use crate::pg::server;
use pgrx::prelude::*;

/// The state of the extension in the worker's database.
pub enum Extension {
    /// It does not exist in this database.
    Missing,
    /// The database is being restored, and the tables must not be touched.
    Restoring,
    /// It exists, with this oid. Another `CREATE EXTENSION` gives it another oid.
    Present(pg_sys::Oid),
}

impl Extension {
    /// Looks up the extension in this database.
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

/// Returns whether `timescaledb_pre_restore()` is in effect. It changes a default of the database,
/// which a session that is already running does not see, so the catalog is read.
fn is_restoring() -> Result<bool, Failure> {
    let query = "SELECT EXISTS (
            SELECT FROM pg_catalog.pg_db_role_setting s
            JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND s.setrole = 0,
                pg_catalog.unnest(s.setconfig) AS setting
            WHERE d.datname = pg_catalog.current_database()
                AND setting ~* '^timescaledb\\.restoring=(on|t|true|y|yes|1)$')";
    Ok(Spi::get_one(query)?.unwrap_or(false))
}
