//! Dead letters that an operator deals with. The row is the lock, and it is resolved in the
//! transaction that writes the rows.

use super::super::from_timestamptz;
use super::CRASHING;
use crate::pg::failure::Failure;
use pgrx::prelude::*;
use row::Timestamp;

/// The parts of a dead letter that its rows depend on.
#[derive(Debug)]
pub struct StoredLetter {
    /// Pipeline that it came through.
    pub pipeline: String,
    /// Processor at that time.
    pub processor: String,
    /// JetStream stream that it came from.
    pub stream: String,
    /// Sequence in that stream.
    pub sequence: u64,
    /// Publish time, which is "now" for the decoder.
    pub published: Timestamp,
    /// Subject that it was published on.
    pub subject: String,
    /// Undecoded.
    pub payload: Vec<u8>,
}

/// Whether selected dead letters are locked until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// They are; those that another session has locked are not selected.
    Locked,
    /// They are not: nothing is written.
    Unlocked,
}

/// Marks dead letters as discarded, and returns how many there were.
///
/// # Errors
/// What the database says.
pub fn discard(ids: Vec<Option<i64>>) -> Result<usize, Failure> {
    let query = "UPDATE sr_event_writer.dead_letter
        SET resolved_at = pg_catalog.now(), resolution = 'discarded'
        WHERE id = ANY ($1) AND resolved_at IS NULL";
    Ok(Spi::connect_mut(|client| {
        client
            .update(query, None, &[ids.into()])
            .map(|done| done.len())
    })?)
}

/// Selects the dead letters that are meant. A message that crashes the process would crash the
/// session and the whole server with it: it has to be asked for by its number.
///
/// # Errors
/// What the database says.
pub fn unresolved(
    pipeline: Option<&str>,
    ids: Option<Vec<Option<i64>>>,
    limit: Option<i32>,
    selection: Selection,
) -> Result<Vec<i64>, Failure> {
    let mut query = "SELECT id FROM sr_event_writer.dead_letter
        WHERE resolved_at IS NULL AND ($1 IS NULL OR stream = $1)
            AND (id = ANY ($2) OR $2 IS NULL AND sqlstate IS DISTINCT FROM $4)
        ORDER BY id LIMIT $3"
        .to_owned();
    if selection == Selection::Locked {
        query += " FOR UPDATE SKIP LOCKED";
    }
    let limit = limit.map(i64::from);
    let args = [
        pipeline.into(),
        ids.into(),
        limit.into(),
        CRASHING.as_str().into(),
    ];
    let mut found = Vec::new();
    Spi::connect_mut(|client| {
        for row in client.update(query.as_str(), None, &args)? {
            found.extend(row.get::<i64>(1)?);
        }
        Ok::<_, spi::Error>(())
    })?;
    Ok(found)
}

/// Reads one dead letter: one at a time, since payloads may be large.
///
/// # Errors
/// What the database says.
pub fn load(id: i64) -> Result<Option<StoredLetter>, Failure> {
    let query = "SELECT stream, COALESCE(processor, ''), COALESCE(nats_stream, ''),
            COALESCE(sequence, 0), COALESCE(published_at, received_at), COALESCE(subject, ''),
            COALESCE(payload, '')
        FROM sr_event_writer.dead_letter WHERE id = $1";
    Spi::connect(|client| {
        let Some(row) = client.select(query, Some(1), &[id.into()])?.next() else {
            return Ok(None);
        };
        Ok(Some(StoredLetter {
            pipeline: row.get(1)?.unwrap_or_default(),
            processor: row.get(2)?.unwrap_or_default(),
            stream: row.get(3)?.unwrap_or_default(),
            sequence: row.get::<i64>(4)?.unwrap_or_default().unsigned_abs(),
            published: from_timestamptz(row.get(5)?).unwrap_or_default(),
            subject: row.get(6)?.unwrap_or_default(),
            payload: row.get(7)?.unwrap_or_default(),
        }))
    })
}

/// Marks a dead letter as replayed. Inside the transaction that writes its rows.
///
/// # Errors
/// What the database says.
pub fn mark_replayed(id: i64) -> Result<(), Failure> {
    let query = "UPDATE sr_event_writer.dead_letter
        SET resolved_at = pg_catalog.now(), resolution = 'replayed' WHERE id = $1";
    Ok(Spi::run_with_args(query, &[id.into()])?)
}
