//! Making room: old dead letters are removed, and the oldest of those that take too much.

use crate::pg::failure::Failure;
use pgrx::prelude::*;
use std::time::Duration;

/// Dead letters that one transaction removes because of their age …
const REMOVED_AT_ONCE: usize = 10_000;
/// … or for want of room …
const OLDEST_AT_ONCE: usize = 1_000;
/// … and then bytes of them: large ones are many rows of a TOAST table.
const BYTES_AT_ONCE: u64 = 32 << 20;

/// SQL expression for the bytes that a dead letter takes, without reading the TOAST table.
const SIZE: &str = "(200 + coalesce(pg_column_size(payload), 0) + coalesce(pg_column_size(headers), 0)
    + coalesce(pg_column_size(raw_headers), 0) + coalesce(pg_column_size(error), 0))::pg_catalog.int8";

/// What a removal by age has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Nothing that is old enough.
    All,
    /// Perhaps some: the transaction had removed enough.
    Some,
}

/// Removes dead letters that are older than `age`, some at a time, but for those that a session is
/// replaying: the worker does not wait for it.
///
/// # Errors
/// What the database says.
pub fn expire(age: Duration) -> Result<Removed, Failure> {
    let query = format!(
        "DELETE FROM sr_event_writer.dead_letter WHERE id IN (
            SELECT id FROM sr_event_writer.dead_letter
            WHERE received_at < pg_catalog.now() - pg_catalog.make_interval(secs => $1)
            ORDER BY id LIMIT {REMOVED_AT_ONCE} FOR UPDATE SKIP LOCKED)"
    );
    let args = [age.as_secs_f64().into()];
    let removed = Spi::connect_mut(|client| {
        client
            .update(query.as_str(), None, &args)
            .map(|table| table.len())
    })?;
    Ok(match removed < REMOVED_AT_ONCE {
        true => Removed::All,
        false => Removed::Some,
    })
}

/// What a removal for want of room has freed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Freed {
    /// Dead letters.
    pub letters: u64,
    /// Bytes that they took.
    pub bytes: u64,
}

/// Removes the oldest dead letters until `bytes` are free, some at a time, and passes over those
/// that a session is replaying.
///
/// # Errors
/// What the database says.
pub fn remove_oldest(bytes: u64) -> Result<Freed, Failure> {
    let query = format!(
        "WITH oldest AS (
            SELECT id, {SIZE} AS size FROM sr_event_writer.dead_letter
            ORDER BY id LIMIT {OLDEST_AT_ONCE} FOR UPDATE SKIP LOCKED
        ), enough AS (
            SELECT id, size, sum(size) OVER (ORDER BY id) - size AS before FROM oldest
        ), removed AS (
            DELETE FROM sr_event_writer.dead_letter letter USING enough
            WHERE letter.id = enough.id AND enough.before < $1 RETURNING enough.size
        )
        SELECT count(*), coalesce(sum(size), 0)::pg_catalog.int8 FROM removed"
    );
    let bytes = i64::try_from(bytes.min(BYTES_AT_ONCE)).unwrap_or(i64::MAX);
    let (letters, bytes) = Spi::connect_mut(|client| {
        client
            .update(query.as_str(), None, &[bytes.into()])?
            .first()
            .get_two::<i64, i64>()
    })?;
    let count = |found: Option<i64>| found.unwrap_or_default().unsigned_abs();
    Ok(Freed {
        letters: count(letters),
        bytes: count(bytes),
    })
}

/// Returns the bytes that all dead letters take. Dead rows are not among them: DELETE makes no
/// table smaller.
///
/// # Errors
/// What the database says.
pub fn size() -> Result<u64, Failure> {
    let query = format!(
        "SELECT coalesce(sum({SIZE}), 0)::pg_catalog.int8 FROM sr_event_writer.dead_letter"
    );
    let bytes: Option<i64> = Spi::connect(|client| {
        client
            .select(query.as_str(), Some(1), &[])?
            .first()
            .get_one()
    })?;
    Ok(bytes.unwrap_or_default().unsigned_abs())
}
