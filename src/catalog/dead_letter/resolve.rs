//! Dead letters that an operator replays or discards. The row is locked, and is resolved in the
//! transaction that writes the message's rows.

use super::super::from_timestamptz;
use super::CRASHING;
use crate::pg::failure::Failure;
use pgrx::prelude::*;
use row::Timestamp;

/// The parts of a dead letter that its rows depend on.
#[derive(Debug)]
pub struct StoredDeadLetter {
    /// Name of the pipeline that received it.
    pub pipeline: String,
    /// Name of the pipeline's format at that time.
    pub processor: String,
    /// Name of the JetStream stream that held it.
    pub stream: String,
    /// Sequence in that stream.
    pub sequence: u64,
    /// Publish time, which is "now" for the decoder.
    pub published: Timestamp,
    /// Subject that it was published on.
    pub subject: String,
    /// Payload, undecoded.
    pub payload: Vec<u8>,
}

/// Locking of the selected dead letters until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// They are locked; dead letters that another session has locked are not selected.
    Locked,
    /// They are not locked, because nothing is written.
    Unlocked,
}

/// Marks dead letters as discarded, and returns their number. Those resolved earlier are ignored.
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

/// Returns the ids of unresolved dead letters that match. Poison messages have to be selected by
/// id, because a replay would crash the session, and the whole server with it.
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

/// Reads one dead letter; only one at a time, since payloads may be large. Returns `None` if it
/// does not exist.
pub fn load(id: i64) -> Result<Option<StoredDeadLetter>, Failure> {
    let query = "SELECT stream, COALESCE(processor, ''), COALESCE(nats_stream, ''),
            COALESCE(sequence, 0), COALESCE(published_at, received_at), COALESCE(subject, ''),
            COALESCE(payload, '')
        FROM sr_event_writer.dead_letter WHERE id = $1";
    Spi::connect(|client| {
        let Some(row) = client.select(query, Some(1), &[id.into()])?.next() else {
            return Ok(None);
        };
        Ok(Some(StoredDeadLetter {
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
pub fn mark_replayed(id: i64) -> Result<(), Failure> {
    let query = "UPDATE sr_event_writer.dead_letter
        SET resolved_at = pg_catalog.now(), resolution = 'replayed' WHERE id = $1";
    Ok(Spi::run_with_args(query, &[id.into()])?)
}
