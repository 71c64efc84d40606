//! `sr_event_writer.stream_position`: the positions of the pipelines, in the same database as their
//! rows.

use super::gap::Reason;
use super::{created, from_timestamptz, to_bigint, to_timestamptz};
use crate::pg::failure::Failure;
use nats::{MessageIdentity, Sequences, StreamId};
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData;
use std::collections::HashMap;
use std::sync::Arc;

/// The positions of one pipeline by stream, as this process has committed them.
///
/// After DROP EXTENSION they are the only copy.
pub type Positions = Vec<(Arc<StreamId>, Sequences)>;

/// The position of a pipeline in an incarnation of a stream, as stored in the table.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The recorded sequences.
    pub position: Sequences,
    /// The newest message that is accounted for, if known, even if it is of another subject.
    pub newest: Option<MessageIdentity>,
}

/// Returns the primary key of the row, as the first three arguments of a statement.
fn key<'a>(pipeline: &'a str, stream_id: &'a StreamId) -> Result<[DatumWithOid<'a>; 3], Failure> {
    Ok([
        pipeline.into(),
        stream_id.name.as_str().into(),
        created(stream_id)?.into(),
    ])
}

/// Reads a position. Returns `None` if nothing is recorded.
pub fn load(pipeline: &str, stream_id: &StreamId) -> Result<Option<Recorded>, Failure> {
    let query = "SELECT p.floor, p.newest_sequence, p.newest_published,
            pg_catalog.lower(r), pg_catalog.upper(r) - 1
        FROM sr_event_writer.stream_position p
        LEFT JOIN LATERAL pg_catalog.unnest(p.above) r ON true
        WHERE p.pipeline = $1 AND p.stream = $2 AND p.stream_created = $3";
    let key = key(pipeline, stream_id)?;
    Spi::connect(|client| {
        let mut recorded: Option<Recorded> = None;
        for row in client.select(query, None, &key)? {
            let known = match &mut recorded {
                Some(known) => known,
                none => none.insert(first_of(&row)?),
            };
            if let (Some(first), Some(last)) = (row.get::<i64>(4)?, row.get::<i64>(5)?) {
                let (first, last) = (first.unsigned_abs(), last.unsigned_abs());
                known.position.insert(first, last);
            }
        }
        Ok(recorded)
    })
}

/// Reads the columns that are the same in all rows of the query.
fn first_of(row: &SpiHeapTupleData<'_>) -> Result<Recorded, Failure> {
    let floor = row.get::<i64>(1)?.unwrap_or(0);
    let sequence = row.get::<i64>(2)?.map(i64::unsigned_abs);
    let newest = sequence.zip(from_timestamptz(row.get(3)?));
    Ok(Recorded {
        position: Sequences::up_to(floor.unsigned_abs()),
        newest: newest.map(|(sequence, published)| MessageIdentity {
            sequence,
            published,
        }),
    })
}

/// Reads all positions, by pipeline.
pub fn load_all() -> Result<HashMap<String, Positions>, Failure> {
    let query = "SELECT pipeline, stream, stream_created
        FROM sr_event_writer.stream_position ORDER BY stream_created";
    let mut found = Vec::new();
    Spi::connect(|client| {
        for row in client.select(query, None, &[])? {
            let created = from_timestamptz(row.get(3)?);
            let names = (row.get::<String>(1)?, row.get::<String>(2)?);
            if let ((Some(pipeline), Some(stream)), Some(created)) = (names, created) {
                found.push((
                    pipeline,
                    StreamId {
                        name: stream,
                        created,
                    },
                ));
            }
        }
        Ok::<_, spi::Error>(())
    })?;
    let mut all: HashMap<String, Positions> = HashMap::new();
    for (pipeline, stream_id) in found {
        if let Some(recorded) = load(&pipeline, &stream_id)? {
            let known = all.entry(pipeline).or_default();
            known.push((Arc::new(stream_id), recorded.position));
        }
    }
    Ok(all)
}

/// Saves a position. Inside the transaction that writes the rows.
pub fn save(
    pipeline: &str,
    stream_id: &StreamId,
    position: &Sequences,
    newest: Option<MessageIdentity>,
) -> Result<(), Failure> {
    // Sequences and publish times of one stream grow together, so both maxima belong to one
    // message.
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
    let sequence = newest
        .map(|newest| to_bigint(newest.sequence))
        .transpose()?;
    let published = newest
        .map(|newest| to_timestamptz(newest.published))
        .transpose()?;
    let [pipeline, stream, created] = key(pipeline, stream_id)?;
    let args = [
        pipeline,
        stream,
        created,
        to_bigint(position.floor())?.into(),
        multirange(position).into(),
        sequence.into(),
        published.into(),
    ];
    Spi::connect_mut(|client| client.update(query, None, &args).map(drop))?;
    Ok(())
}

/// Clears the newest message, because the stream does not hold it.
pub fn forget_newest(pipeline: &str, stream_id: &StreamId) -> Result<(), Failure> {
    let query = "UPDATE sr_event_writer.stream_position p
        SET newest_sequence = NULL, newest_published = NULL
        WHERE p.pipeline = $1 AND p.stream = $2 AND p.stream_created = $3";
    let key = key(pipeline, stream_id)?;
    Spi::connect_mut(|client| client.update(query, None, &key).map(drop))?;
    Ok(())
}

/// Returns whether the pipeline has a position in another stream of the same name.
pub fn has_predecessor(pipeline: &str, stream_id: &StreamId) -> Result<bool, Failure> {
    let query = "SELECT true FROM sr_event_writer.stream_position p
        WHERE p.pipeline = $1 AND p.stream = $2 AND p.stream_created <> $3";
    let key = key(pipeline, stream_id)?;
    Spi::connect(|client| Ok(!client.select(query, Some(1), &key)?.is_empty()))
}

/// Returns whether a sequence is recorded in the latest state of the database, whatever the
/// snapshot of the transaction. `stream_id` is the stream's name and its creation time in
/// microseconds since 2000-01-01; `None` stands for the stream that the pipeline has written from
/// last.
pub fn is_recorded(
    pipeline: &str,
    sequence: i64,
    stream_id: Option<(&str, i64)>,
) -> Result<bool, Failure> {
    let query = c"SELECT FROM (
            SELECT p.floor, p.above FROM sr_event_writer.stream_position p
            WHERE p.pipeline = $1 AND ($3 IS NULL OR p.stream = $3 AND p.stream_created = $4)
            ORDER BY p.updated_at DESC LIMIT 1) newest
        WHERE $2 <= newest.floor OR newest.above OPERATOR(pg_catalog.@>) $2";
    let created = stream_id.and_then(|(_, created)| TimestampWithTimeZone::try_from(created).ok());
    let arguments = [
        (pipeline.into_datum(), pg_sys::TEXTOID),
        (sequence.into_datum(), pg_sys::INT8OID),
        (
            stream_id.map(|(stream, _)| stream).into_datum(),
            pg_sys::TEXTOID,
        ),
        (created.into_datum(), pg_sys::TIMESTAMPTZOID),
    ];
    let mut types = arguments.map(|(_, oid)| oid);
    let nulls = arguments.map(|(datum, _)| if datum.is_some() { b' ' } else { b'n' });
    let mut values = arguments.map(|(datum, _)| datum.unwrap_or(pg_sys::Datum::null()));
    Spi::connect(|_| {
        // SAFETY: inside an SPI connection; the arrays have one element for each argument. The
        // latest snapshot is used, because the commit that is waited for comes after the statement
        // began. An error ends both with the transaction.
        let (code, found) = unsafe {
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            let code = pg_sys::SPI_execute_with_args(
                query.as_ptr(),
                4,
                types.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_ptr().cast(),
                true,
                1,
            );
            pg_sys::PopActiveSnapshot();
            (code, pg_sys::SPI_processed > 0)
        };
        Spi::check_status(code)?;
        Ok(found)
    })
}

/// The position of a pipeline in the stream that it has written from last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Stream sequence up to which everything is recorded.
    pub floor: i64,
    /// Highest recorded stream sequence.
    pub last: i64,
    /// True if an earlier seek skipped anything at a given sequence or later.
    pub has_seek_gap: bool,
}

/// Reads the summary of a pipeline, and whether a seek skipped anything at `sequence` or later.
pub fn summary(pipeline: &str, sequence: i64) -> Result<Summary, Failure> {
    let query = "SELECT p.floor,
            GREATEST(p.floor, COALESCE(pg_catalog.upper(p.above) - 1, p.floor)),
            EXISTS (SELECT FROM sr_event_writer.stream_gap g
                WHERE g.pipeline = p.pipeline AND g.stream = p.stream
                    AND g.stream_created = p.stream_created
                    AND g.reason = $3 AND g.last_sequence >= $2)
        FROM sr_event_writer.stream_position p WHERE p.pipeline = $1
        ORDER BY p.updated_at DESC LIMIT 1";
    let args = [
        pipeline.into(),
        sequence.into(),
        Reason::Seek.as_str().into(),
    ];
    Spi::connect(|client| {
        let Some(row) = client.select(query, Some(1), &args)?.next() else {
            return Ok(Summary::default());
        };
        Ok(Summary {
            floor: row.get(1)?.unwrap_or(0),
            last: row.get(2)?.unwrap_or(0),
            has_seek_gap: row.get(3)?.unwrap_or(false),
        })
    })
}

/// Returns the ranges above the floor in the text form of `int8multirange`.
fn multirange(position: &Sequences) -> String {
    let ranges: Vec<_> = position
        .above()
        .map(|(first, last)| format!("[{first},{last}]"))
        .collect();
    format!("{{{}}}", ranges.join(","))
}
