//! Removes dead letters: those that are too old, and the oldest ones if all together are too large.

use crate::pg::failure::Failure;
use pgrx::prelude::*;
use std::time::Duration;

/// Most dead letters that one transaction removes because of their age.
const REMOVED_AT_ONCE: usize = 10_000;
/// Most dead letters that one transaction removes because of their size.
const OLDEST_AT_ONCE: usize = 1_000;
/// Bytes of dead letters after which such a transaction removes no more: large ones consist of many
/// rows of a TOAST table.
const BYTES_AT_ONCE: u64 = 32 << 20;

/// SQL expression for the bytes that a dead letter takes. It does not read the TOAST table.
const SIZE: &str = "(200 + coalesce(pg_column_size(payload), 0) + coalesce(pg_column_size(headers), 0)
    + coalesce(pg_column_size(raw_headers), 0) + coalesce(pg_column_size(error), 0))::pg_catalog.int8";

/// How far a removal by age has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireProgress {
    /// None is left that is too old, except locked ones.
    Complete,
    /// Perhaps some are left, because the transaction had reached its maximum.
    Partial,
}

/// Removes some of the dead letters that are older than `age`. Those that a replay has locked are
/// left out, so that the worker does not wait for it.
pub fn expire(age: Duration) -> Result<ExpireProgress, Failure> {
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
        true => ExpireProgress::Complete,
        false => ExpireProgress::Partial,
    })
}

/// The result of a removal by size.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemovedDeadLetters {
    /// Number of dead letters.
    pub dead_letters: u64,
    /// Bytes that they took.
    pub bytes: u64,
}

/// Removes some of the oldest dead letters, until about `bytes` are free. Those that a replay has
/// locked are left out.
pub fn remove_oldest(bytes: u64) -> Result<RemovedDeadLetters, Failure> {
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
    let (dead_letters, bytes) = Spi::connect_mut(|client| {
        client
            .update(query.as_str(), None, &[bytes.into()])?
            .first()
            .get_two::<i64, i64>()
    })?;
    let count = |found: Option<i64>| found.unwrap_or_default().unsigned_abs();
    Ok(RemovedDeadLetters {
        dead_letters: count(dead_letters),
        bytes: count(bytes),
    })
}

/// Returns the bytes that all dead letters take. Dead rows do not count, because DELETE does not
/// make the table smaller.
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
