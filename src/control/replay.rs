//! Dead letters that an operator deals with: replayed, each exactly once, or discarded. The row in
//! the table is the lock, and it is resolved in the transaction that writes the rows.

use crate::config;
use crate::error::{UserError, or_raise};
use crate::pg::failure::{CRASHING, Failure};
use crate::pg::subtransaction::End;
use crate::worker::replay::{Letter, Replayer};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use row::Timestamp;

/// What became of one letter: id, success, tables, rows, error.
type Outcome = (i64, bool, Option<String>, Option<i64>, Option<String>);

/// Decodes and inserts dead letters again.
#[pg_extern]
#[allow(
    clippy::type_complexity,
    reason = "the columns of the result, in order"
)]
fn sr_event_writer_replay(
    stream: Option<&str>,
    ids: Option<Vec<Option<i64>>>,
    limit: Option<i32>,
    dry_run: Option<bool>,
) -> TableIterator<
    'static,
    (
        name!(id, i64),
        name!(ok, bool),
        name!(table_name, Option<String>),
        name!(rows, Option<i64>),
        name!(error, Option<String>),
    ),
> {
    let end = match dry_run {
        Some(true) => End::Undo,
        Some(false) | None => End::Keep,
    };
    let outcomes = or_raise(replay(stream, ids, limit, end));
    TableIterator::new(outcomes)
}

/// Marks dead letters as done with; their number.
#[pg_extern]
fn sr_event_writer_discard(ids: Vec<Option<i64>>) -> i64 {
    let query = "UPDATE sr_event_writer.dead_letter
        SET resolved_at = pg_catalog.now(), resolution = 'discarded'
        WHERE id = ANY ($1) AND resolved_at IS NULL";
    let discarded = Spi::connect_mut(|client| {
        let done = client.update(query, None, &[ids.into()])?;
        Ok::<_, spi::Error>(i64::try_from(done.len()).unwrap_or(i64::MAX))
    });
    or_raise(discarded.map_err(UserError::from))
}

fn replay(
    stream: Option<&str>,
    ids: Option<Vec<Option<i64>>>,
    limit: Option<i32>,
    end: End,
) -> Result<Vec<Outcome>, UserError> {
    let mut replayer = Replayer::new(config::read()?)?;
    let mut outcomes = Vec::new();
    for id in unresolved(stream, ids, limit, end)? {
        check_for_interrupts!();
        let Some(letter) = letter(id)? else {
            continue;
        };
        let outcome = replayer.replay(&letter, end, || resolve(id));
        outcomes.push(match outcome {
            Ok(done) => {
                let rows = i64::try_from(done.rows).unwrap_or(i64::MAX);
                (id, true, Some(done.tables), Some(rows), None)
            }
            Err(failure) => (id, false, None, None, Some(failure.to_string())),
        });
    }
    replayer.finish()?;
    Ok(outcomes)
}

/// The letters that are meant, locked until the transaction ends. Those that another session holds
/// are its business. A trial locks nothing. A message that crashes the process would crash this one
/// and the whole server with it: it has to be asked for by its number.
fn unresolved(
    stream: Option<&str>,
    ids: Option<Vec<Option<i64>>>,
    limit: Option<i32>,
    end: End,
) -> Result<Vec<i64>, UserError> {
    let mut query = "SELECT id FROM sr_event_writer.dead_letter
        WHERE resolved_at IS NULL AND ($1 IS NULL OR stream = $1)
            AND (id = ANY ($2) OR $2 IS NULL AND sqlstate IS DISTINCT FROM $4)
        ORDER BY id LIMIT $3"
        .to_owned();
    if end == End::Keep {
        query += " FOR UPDATE SKIP LOCKED";
    }
    let limit = limit.map(i64::from);
    let args = [stream.into(), ids.into(), limit.into(), CRASHING.into()];
    let mut found = Vec::new();
    Spi::connect_mut(|client| {
        for row in client.update(query.as_str(), None, &args)? {
            found.extend(row.get::<i64>(1)?);
        }
        Ok::<_, spi::Error>(())
    })?;
    Ok(found)
}

/// One at a time, since payloads may be large.
fn letter(id: i64) -> Result<Option<Letter>, UserError> {
    let query = "SELECT stream, COALESCE(processor, ''), COALESCE(nats_stream, ''),
            COALESCE(sequence, 0), COALESCE(published_at, received_at), COALESCE(subject, ''),
            COALESCE(payload, '')
        FROM sr_event_writer.dead_letter WHERE id = $1";
    Ok(Spi::connect(|client| {
        let Some(row) = client.select(query, Some(1), &[id.into()])?.next() else {
            return Ok::<_, spi::Error>(None);
        };
        let published = row.get::<TimestampWithTimeZone>(5)?;
        let published = published.and_then(|t| Timestamp::from_postgres_micros(t.into_inner()));
        Ok(Some(Letter {
            pipeline: row.get(1)?.unwrap_or_default(),
            processor: row.get(2)?.unwrap_or_default(),
            stream: row.get(3)?.unwrap_or_default(),
            sequence: row.get::<i64>(4)?.unwrap_or_default().unsigned_abs(),
            published: published.unwrap_or_default(),
            subject: row.get(6)?.unwrap_or_default(),
            payload: row.get(7)?.unwrap_or_default(),
        }))
    })?)
}

fn resolve(id: i64) -> Result<(), Failure> {
    let query = "UPDATE sr_event_writer.dead_letter
        SET resolved_at = pg_catalog.now(), resolution = 'replayed' WHERE id = $1";
    Ok(Spi::run_with_args(query, &[id.into()])?)
}
