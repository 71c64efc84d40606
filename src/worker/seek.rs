//! Moving a pipeline to another sequence, as `sr_event_writer_seek` has asked for: a change of the
//! recorded position, made when the pipeline asks where it stands. What is left out becomes a row
//! in `stream_gap`; what had been left out before is taken in again.

use super::position;
use crate::pg::failure::Failure;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use row::Timestamp;
use stream::{ResumeRequest, Sequences, Source, Witness};

/// Reason of the gaps that are made here. A later seek may close them again.
const REASON: &str = "seek";

/// Where a pipeline goes on.
pub enum Outcome {
    /// After this position.
    At(Sequences),
    /// The stream has to be asked which sequence this time is.
    Needs(Timestamp),
    /// The stream has to be asked whether this message is still what it was.
    Verify(Witness),
}

/// What was asked for.
struct Wish {
    sequence: Option<u64>,
    time: Option<Timestamp>,
    force: bool,
}

/// The position after the operator's wish, if there is one; recorded, and the wish is done with.
/// Inside the transaction that read `position`.
///
/// # Errors
/// What the database says.
pub fn apply(
    pipeline: &str,
    request: &ResumeRequest,
    mut position: Sequences,
) -> Result<Outcome, Failure> {
    let Some(wish) = wish(pipeline)? else {
        return Ok(Outcome::At(position));
    };
    let found = request.found.filter(|found| Some(found.time) == wish.time);
    let target = match (wish.sequence, wish.time, found) {
        (Some(sequence), ..) => sequence,
        (None, _, Some(found)) => found.sequence,
        (None, Some(time), None) => return Ok(Outcome::Needs(time)),
        (None, None, None) => return Ok(Outcome::At(position)),
    };
    // Messages that do not exist yet are never left out.
    let target = target.clamp(1, request.last_sequence.saturating_add(1));
    leave_out(pipeline, request, &mut position, target)?;
    take_in_again(pipeline, &request.source, &mut position, target)?;
    if wish.force {
        position.remove(target, u64::MAX);
    }
    position::save(pipeline, &request.source, &position, None)?;
    let query = "UPDATE sr_event_writer.pipeline_control
        SET seek_sequence = NULL, seek_time = NULL, seek_force = false WHERE pipeline = $1";
    Spi::run_with_args(query, &[pipeline.into()])?;
    log!(
        "sr_event_writer: stream {pipeline}: moved to sequence {target}; reads on at {}",
        position.floor() + 1
    );
    Ok(Outcome::At(position))
}

/// A pipeline that is still paused keeps its wish: the operator may change it. While a session is
/// at that, the question is asked again later instead of waiting: other pipelines go on.
fn wish(pipeline: &str) -> Result<Option<Wish>, Failure> {
    let query = "SELECT seek_sequence, seek_time, seek_force
        FROM sr_event_writer.pipeline_control
        WHERE pipeline = $1 AND NOT paused
            AND (seek_sequence IS NOT NULL OR seek_time IS NOT NULL)
        FOR UPDATE NOWAIT";
    Spi::connect_mut(|client| {
        let Some(row) = client.update(query, Some(1), &[pipeline.into()])?.next() else {
            return Ok(None);
        };
        let time = row.get::<TimestampWithTimeZone>(2)?;
        let time = time.and_then(|time| Timestamp::from_postgres_micros(time.into_inner()));
        Ok(Some(Wish {
            sequence: row.get::<i64>(1)?.map(i64::unsigned_abs),
            time,
            force: row.get(3)?.unwrap_or(false),
        }))
    })
}

/// Everything before the target counts as recorded; what was not is noted as a gap. Only what the
/// stream still holds: the rest is nobody's choice.
fn leave_out(
    pipeline: &str,
    request: &ResumeRequest,
    position: &mut Sequences,
    target: u64,
) -> Result<(), Failure> {
    let first = request.first_sequence.max(1);
    for (from, to) in position.missing(first, target - 1) {
        position::save_gaps(pipeline, &request.source, &[(from, to)], REASON)?;
        warning!(
            "sr_event_writer: stream {pipeline}: sequences {from} to {to} are left out, as sr_event_writer_seek() asked for"
        );
    }
    position.insert(1, target - 1);
    Ok(())
}

/// What an earlier seek has left out at or after the target is read now after all.
fn take_in_again(
    pipeline: &str,
    source: &Source,
    position: &mut Sequences,
    target: u64,
) -> Result<(), Failure> {
    let query = "DELETE FROM sr_event_writer.stream_gap
        WHERE pipeline = $1 AND stream = $2 AND stream_created = $3 AND reason = $4
            AND last_sequence >= $5
        RETURNING first_sequence, last_sequence";
    let args = [
        pipeline.into(),
        source.stream.as_str().into(),
        position::created(source)?.into(),
        REASON.into(),
        position::bigint(target)?.into(),
    ];
    let mut gaps = Vec::new();
    Spi::connect_mut(|client| {
        for row in client.update(query, None, &args)? {
            if let (Some(first), Some(last)) = (row.get::<i64>(1)?, row.get::<i64>(2)?) {
                gaps.push((first.unsigned_abs(), last.unsigned_abs()));
            }
        }
        Ok::<_, spi::Error>(())
    })?;
    for (first, last) in gaps {
        position.remove(first.max(target), last);
        if first < target {
            position::save_gaps(pipeline, source, &[(first, target - 1)], REASON)?;
        }
    }
    Ok(())
}
