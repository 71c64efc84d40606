//! The recorded position of a pipeline, in the database that also holds its rows.
//!
//! As in all statements of the worker, every function is named with its schema: they run as
//! superuser. Operators and types are found along the pinned path (`search_path.rs`).

use crate::pg::failure::Failure;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use row::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use stream::{Sequences, Source, Witness};

/// Positions by stream, as this process has committed them.
///
/// They outlive a lane: where DROP EXTENSION has taken the record away, they are what is left of it.
pub type Positions = Vec<(Arc<Source>, Sequences)>;

/// Reads what is recorded for a pipeline and a stream. `None` when nothing is.
///
/// # Errors
/// What the database says.
pub fn load(pipeline: &str, source: &Source) -> Result<Option<Sequences>, Failure> {
    let query = "SELECT p.floor, pg_catalog.lower(r), pg_catalog.upper(r) - 1
        FROM sr_event_writer.stream_position p
        LEFT JOIN LATERAL pg_catalog.unnest(p.above) r ON true
        WHERE p.pipeline = $1 AND p.stream = $2 AND p.stream_created = $3";
    let args = [
        pipeline.into(),
        source.stream.as_str().into(),
        created(source)?.into(),
    ];
    Spi::connect(|client| {
        let mut position: Option<Sequences> = None;
        for row in client.select(query, None, &args)? {
            let floor = row.get::<i64>(1)?.unwrap_or(0);
            let known = position.get_or_insert_with(|| Sequences::up_to(floor.unsigned_abs()));
            if let (Some(first), Some(last)) = (row.get::<i64>(2)?, row.get::<i64>(3)?) {
                known.insert(first.unsigned_abs(), last.unsigned_abs());
            }
        }
        Ok(position)
    })
}

/// Everything that is recorded, by pipeline.
///
/// # Errors
/// What the database says.
pub fn load_all() -> Result<HashMap<String, Positions>, Failure> {
    let query = "SELECT pipeline, stream, stream_created
        FROM sr_event_writer.stream_position ORDER BY stream_created";
    let mut found = Vec::new();
    Spi::connect(|client| {
        for row in client.select(query, None, &[])? {
            let created = row.get::<TimestampWithTimeZone>(3)?;
            let created = created.and_then(|at| Timestamp::from_postgres_micros(at.into_inner()));
            let names = (row.get::<String>(1)?, row.get::<String>(2)?);
            if let ((Some(pipeline), Some(stream)), Some(created)) = (names, created) {
                found.push((pipeline, Source { stream, created }));
            }
        }
        Ok::<_, spi::Error>(())
    })?;
    let mut all: HashMap<String, Positions> = HashMap::new();
    for (pipeline, source) in found {
        if let Some(position) = load(&pipeline, &source)? {
            let known = all.entry(pipeline).or_default();
            known.push((Arc::new(source), position));
        }
    }
    Ok(all)
}

/// Records a position. Inside the transaction that writes the rows.
///
/// # Errors
/// What the database says.
pub fn save(
    pipeline: &str,
    source: &Source,
    position: &Sequences,
    newest: Option<Witness>,
) -> Result<(), Failure> {
    // Sequences and times of one stream grow together.
    let query = "INSERT INTO sr_event_writer.stream_position AS p
            (pipeline, stream, stream_created, floor, above, updated_at,
             newest_sequence, newest_published)
        VALUES ($1, $2, $3, $4, $5::pg_catalog.text::pg_catalog.int8multirange, pg_catalog.now(),
            $6, $7)
        ON CONFLICT (pipeline, stream, stream_created)
        DO UPDATE SET floor = EXCLUDED.floor, above = EXCLUDED.above,
            updated_at = EXCLUDED.updated_at,
            newest_sequence = greatest(p.newest_sequence, EXCLUDED.newest_sequence),
            newest_published = greatest(p.newest_published, EXCLUDED.newest_published)";
    let sequence = newest.map(|newest| bigint(newest.sequence)).transpose()?;
    let published = newest
        .map(|newest| timestamptz(newest.published))
        .transpose()?;
    let args = [
        pipeline.into(),
        source.stream.as_str().into(),
        created(source)?.into(),
        bigint(position.floor())?.into(),
        multirange(position).into(),
        sequence.into(),
        published.into(),
    ];
    Spi::connect_mut(|client| client.update(query, None, &args).map(drop))?;
    Ok(())
}

/// The newest message that is recorded, if that is known.
///
/// # Errors
/// What the database says.
pub fn newest(pipeline: &str, source: &Source) -> Result<Option<Witness>, Failure> {
    let query = "SELECT p.newest_sequence, p.newest_published
        FROM sr_event_writer.stream_position p
        WHERE p.pipeline = $1 AND p.stream = $2 AND p.stream_created = $3";
    let args = [
        pipeline.into(),
        source.stream.as_str().into(),
        created(source)?.into(),
    ];
    Spi::connect(|client| {
        let Some(row) = client.select(query, Some(1), &args)?.next() else {
            return Ok(None);
        };
        let published = row.get::<TimestampWithTimeZone>(2)?;
        let published = published.and_then(|at| Timestamp::from_postgres_micros(at.into_inner()));
        let sequence = row.get::<i64>(1)?.map(i64::unsigned_abs);
        Ok(sequence
            .zip(published)
            .map(|(sequence, published)| Witness {
                sequence,
                published,
            }))
    })
}

/// Forgets which message is the newest, when the stream does not hold it.
///
/// # Errors
/// What the database says.
pub fn forget_newest(pipeline: &str, source: &Source) -> Result<(), Failure> {
    let query = "UPDATE sr_event_writer.stream_position p
        SET newest_sequence = NULL, newest_published = NULL
        WHERE p.pipeline = $1 AND p.stream = $2 AND p.stream_created = $3";
    let args = [
        pipeline.into(),
        source.stream.as_str().into(),
        created(source)?.into(),
    ];
    Spi::connect_mut(|client| client.update(query, None, &args).map(drop))?;
    Ok(())
}

/// Ranges of a stream that can no longer be read.
///
/// # Errors
/// What the database says.
pub fn save_gaps(
    pipeline: &str,
    source: &Source,
    gaps: &[(u64, u64)],
    reason: &str,
) -> Result<(), Failure> {
    let query = "INSERT INTO sr_event_writer.stream_gap
            (pipeline, stream, stream_created, first_sequence, last_sequence, reason)
        SELECT $1, $2, $3, gap.first, gap.last, $6
        FROM ROWS FROM (pg_catalog.unnest($4), pg_catalog.unnest($5)) AS gap(first, last)";
    let first = gaps.iter().map(|(first, _)| bigint(*first));
    let last = gaps.iter().map(|(_, last)| bigint(*last));
    let args = [
        pipeline.into(),
        source.stream.as_str().into(),
        created(source)?.into(),
        first.collect::<Result<Vec<i64>, Failure>>()?.into(),
        last.collect::<Result<Vec<i64>, Failure>>()?.into(),
        reason.into(),
    ];
    Spi::connect_mut(|client| client.update(query, None, &args).map(drop))?;
    Ok(())
}

/// Whether another stream of the same name was recorded before.
///
/// # Errors
/// What the database says.
pub fn has_predecessor(pipeline: &str, source: &Source) -> Result<bool, Failure> {
    let query = "SELECT true FROM sr_event_writer.stream_position p
        WHERE p.pipeline = $1 AND p.stream = $2 AND p.stream_created <> $3";
    let args = [
        pipeline.into(),
        source.stream.as_str().into(),
        created(source)?.into(),
    ];
    Spi::connect(|client| Ok(!client.select(query, Some(1), &args)?.is_empty()))
}

/// A stream sequence as SQL's bigint.
///
/// # Errors
/// When it is beyond 2^63, which no stream reaches.
pub fn bigint(sequence: u64) -> Result<i64, Failure> {
    i64::try_from(sequence).map_err(|_| Failure::new("22003", "a stream sequence exceeds 2^63"))
}

fn multirange(position: &Sequences) -> String {
    let ranges: Vec<_> = position
        .above()
        .map(|(first, last)| format!("[{first},{last}]"))
        .collect();
    format!("{{{}}}", ranges.join(","))
}

/// The stream's creation time as SQL has it.
///
/// # Errors
/// When it is out of PostgreSQL's range.
pub fn created(source: &Source) -> Result<TimestampWithTimeZone, Failure> {
    timestamptz(source.created)
}

/// A time of NATS as SQL has it.
fn timestamptz(time: Timestamp) -> Result<TimestampWithTimeZone, Failure> {
    TimestampWithTimeZone::try_from(time.postgres_micros())
        .map_err(|_| Failure::new("22008", "a time of NATS is out of range"))
}
