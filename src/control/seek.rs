//! Requests seeks. A database session does not talk to NATS, so it writes the request to a table;
//! the worker performs it (`src/worker/resume/seek.rs`) when the pipeline resumes.

use super::{require_pipeline, warn_if_misconfigured, workers};
use crate::catalog::pipeline_control;
use crate::catalog::position::{self, Summary};
use crate::error::{UserError, or_raise};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use row::Timestamp;

/// The message to continue with.
enum SeekTarget {
    Sequence(i64),
    Time(TimestampWithTimeZone),
}

/// Moves a paused pipeline to a sequence.
#[pg_extern]
fn sr_event_writer_seek(name: &str, sequence: i64, force: bool) -> String {
    or_raise(seek(name, &SeekTarget::Sequence(sequence), force))
}

/// Moves a paused pipeline to the first message that was published at a time or later.
#[pg_extern]
fn sr_event_writer_seek_time(name: &str, at: TimestampWithTimeZone, force: bool) -> String {
    or_raise(seek(name, &SeekTarget::Time(at), force))
}

/// Writes the request, and returns a description of its effect.
fn seek(name: &str, target: &SeekTarget, force: bool) -> Result<String, UserError> {
    require_pipeline(name)?;
    let (sequence, time) = match target {
        SeekTarget::Sequence(sequence) if *sequence < 1 => return Err(UserError::InvalidSequence),
        SeekTarget::Sequence(sequence) => (Some(*sequence), None),
        SeekTarget::Time(time) if Timestamp::from_postgres_micros(time.into_inner()).is_none() => {
            return Err(UserError::NonFiniteTime);
        }
        SeekTarget::Time(time) => (None, Some(*time)),
    };
    if !pipeline_control::request_seek(name, sequence, time, force)? {
        return Err(UserError::NotPaused(name.to_owned()));
    }
    warn_if_misconfigured(name);
    workers::wake_on_commit();
    match sequence {
        Some(sequence) => describe_effect(name, sequence, force),
        None => Ok(format!(
            "when {name} resumes, it goes on with the first message that was published at that time or later; what lies before and is not recorded will be left out{}",
            if force {
                ", what comes after is written again"
            } else {
                ""
            }
        )),
    }
}

/// Describes the effect when the pipeline resumes, as far as the recorded position shows it.
fn describe_effect(name: &str, sequence: i64, force: bool) -> Result<String, UserError> {
    let Summary {
        floor,
        last,
        has_seek_gap,
    } = position::summary(name, sequence)?;
    let mut text = format!("when {name} resumes, it goes on with sequence {sequence}");
    if floor.saturating_add(1) < sequence {
        text += &format!(
            "; what is not recorded of {} to {} will be left out",
            floor.saturating_add(1),
            sequence - 1
        );
    }
    if last >= sequence {
        text += &match force {
            true => format!("; {sequence} to {last} will be read and written again"),
            false => format!(
                "; what is recorded of {sequence} to {last} will not be written again, which takes force => true"
            ),
        };
    }
    if has_seek_gap {
        text += "; what an earlier seek has left out from there on will be read";
    }
    Ok(text)
}
