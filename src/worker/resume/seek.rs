//! Seeks, as requested with `sr_event_writer_seek`. The recorded position is changed when the
//! pipeline asks for it. Skipped messages become a gap; messages that an earlier seek skipped are
//! read again.

use super::ResumeDecision;
use crate::catalog::gap::{self, Reason};
use crate::catalog::{pipeline_control, position};
use crate::pg::failure::Failure;
use nats::{PositionRequest, Sequences, StreamId};

/// Applies the operator's seek, if there is one: saves the new position, clears the seek, and
/// returns the position. Inside the transaction that read `position`.
///
/// # Errors
/// Those of the database.
pub fn apply(
    pipeline: &str,
    request: &PositionRequest,
    mut position: Sequences,
) -> Result<ResumeDecision, Failure> {
    let Some(seek) = pipeline_control::lock_seek(pipeline)? else {
        return Ok(ResumeDecision::At(position));
    };
    let found = request.found.filter(|found| Some(found.time) == seek.time);
    let target = match (seek.sequence, seek.time, found) {
        (Some(sequence), ..) => sequence,
        (None, _, Some(found)) => found.sequence,
        (None, Some(time), None) => return Ok(ResumeDecision::LookUp(time)),
        (None, None, None) => return Ok(ResumeDecision::At(position)),
    };
    // Messages that do not exist yet are never skipped.
    let target = target.clamp(1, request.last_sequence.saturating_add(1));
    skip_before(pipeline, request, &mut position, target)?;
    unskip_from(pipeline, &request.stream_id, &mut position, target)?;
    if seek.force {
        position.remove(target, u64::MAX);
    }
    position::save(pipeline, &request.stream_id, &position, None)?;
    pipeline_control::clear_seek(pipeline)?;
    pipeline_log!(
        pipeline,
        "moved to sequence {target}; reads on at {}",
        position.floor() + 1
    );
    Ok(ResumeDecision::At(position))
}

/// Adds everything before the target to the position, and records as a gap what was not in it. The
/// gap covers only sequences that the stream still holds; those it has removed were not the
/// operator's choice.
fn skip_before(
    pipeline: &str,
    request: &PositionRequest,
    position: &mut Sequences,
    target: u64,
) -> Result<(), Failure> {
    let first = request.first_sequence.max(1);
    for (from, to) in position.missing(first, target - 1) {
        gap::insert(pipeline, &request.stream_id, &[(from, to)], Reason::Seek)?;
        pipeline_warning!(
            pipeline,
            "sequences {from} to {to} are left out, as sr_event_writer_seek() asked for"
        );
    }
    position.insert(1, target - 1);
    Ok(())
}

/// Removes from the position what an earlier seek has skipped at or after the target, so that it is
/// read after all.
fn unskip_from(
    pipeline: &str,
    stream_id: &StreamId,
    position: &mut Sequences,
    target: u64,
) -> Result<(), Failure> {
    for (first, last) in gap::remove_from(pipeline, stream_id, Reason::Seek, target)? {
        position.remove(first.max(target), last);
        if first < target {
            gap::insert(pipeline, stream_id, &[(first, target - 1)], Reason::Seek)?;
        }
    }
    Ok(())
}
