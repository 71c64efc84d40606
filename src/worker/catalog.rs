//! What the worker reads from the extension's own tables once a second: whether they are there, and
//! what operators have asked for.

use crate::pg::failure::Failure;
use pgrx::prelude::*;
use std::collections::HashSet;

/// The extension's tables as the worker finds them.
pub enum Catalog {
    /// The extension is not in this database.
    Missing,
    /// The database is being restored: its tables are not to be touched.
    Restoring,
    /// It is there, with these wishes. The number tells one `CREATE EXTENSION` from the next.
    Present(pg_sys::Oid, Wishes),
}

/// What operators have asked for, by the names of the pipelines.
#[derive(Debug, Default)]
pub struct Wishes {
    /// Are to be paused.
    pub paused: HashSet<String>,
    /// Are to go on from another sequence.
    pub seeking: HashSet<String>,
}

/// Reads it. Inside a transaction.
///
/// # Errors
/// What the database says.
pub fn read() -> Result<Catalog, Failure> {
    // SAFETY: inside a transaction; the name is a constant string.
    let extension = unsafe { pg_sys::get_extension_oid(c"sr_event_writer".as_ptr(), true) };
    if extension == pg_sys::Oid::INVALID {
        return Ok(Catalog::Missing);
    }
    if is_restoring()? {
        return Ok(Catalog::Restoring);
    }
    let query = "SELECT pipeline, paused, seek_sequence IS NOT NULL OR seek_time IS NOT NULL
        FROM sr_event_writer.pipeline_control";
    Spi::connect(|client| {
        let mut wishes = Wishes::default();
        for row in client.select(query, None, &[])? {
            let name = row.get::<String>(1)?;
            if row.get(2)? == Some(true) {
                wishes.paused.extend(name.clone());
            }
            if row.get(3)? == Some(true) {
                wishes.seeking.extend(name);
            }
        }
        Ok(Catalog::Present(extension, wishes))
    })
}

/// Whether `timescaledb_pre_restore()` was called. It sets the database's default for sessions, which
/// one that is running does not hear of.
fn is_restoring() -> Result<bool, Failure> {
    let query = "SELECT EXISTS (
            SELECT FROM pg_catalog.pg_db_role_setting s
            JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND s.setrole = 0,
                pg_catalog.unnest(s.setconfig) AS setting
            WHERE d.datname = pg_catalog.current_database()
                AND setting ~* '^timescaledb\\.restoring=(on|t|true|y|yes|1)$')";
    Ok(Spi::get_one(query)?.unwrap_or(false))
}
