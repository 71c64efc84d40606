//! What the worker reads from the extension's own tables once a second: whether they are there, and
//! what operators have asked for.

use super::failure::Failure;
use pgrx::prelude::*;
use std::collections::HashSet;

/// The extension's tables as the worker finds them.
pub enum Catalog {
    /// The extension is not in this database.
    Missing,
    /// It is there; these pipelines are paused.
    Present(HashSet<String>),
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
    let query = "SELECT pipeline FROM sr_event_writer.pipeline_control WHERE paused";
    Spi::connect(|client| {
        let mut paused = HashSet::new();
        for row in client.select(query, None, &[])? {
            paused.extend(row.get::<String>(1)?);
        }
        Ok(Catalog::Present(paused))
    })
}
