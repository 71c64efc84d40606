//! Letting a pipeline go on from elsewhere. A session does not talk to NATS, so it leaves its wish
//! in a table; the worker fulfils it (`src/worker/seek.rs`) when the pipeline resumes.

use super::workers;
use crate::config;
use crate::error::{UserError, or_raise};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use row::Timestamp;

/// Where to go on.
enum Target {
    Sequence(i64),
    Time(TimestampWithTimeZone),
}

/// Lets a paused pipeline go on with a sequence.
#[pg_extern]
fn sr_event_writer_seek(name: &str, sequence: i64, force: bool) -> String {
    or_raise(seek(name, &Target::Sequence(sequence), force))
}

/// Lets a paused pipeline go on with the first message of a time.
#[pg_extern]
fn sr_event_writer_seek_time(name: &str, at: TimestampWithTimeZone, force: bool) -> String {
    or_raise(seek(name, &Target::Time(at), force))
}

fn seek(name: &str, target: &Target, force: bool) -> Result<String, UserError> {
    if !config::pipeline_names().iter().any(|known| known == name) {
        return Err(UserError::UnknownPipeline(name.to_owned()));
    }
    let (sequence, time) = match target {
        Target::Sequence(sequence) if *sequence < 1 => {
            return Err(UserError::NoSequence(*sequence));
        }
        Target::Sequence(sequence) => (Some(*sequence), None),
        Target::Time(time) if Timestamp::from_postgres_micros(time.into_inner()).is_none() => {
            return Err(UserError::NoTime);
        }
        Target::Time(time) => (None, Some(*time)),
    };
    let query = "UPDATE sr_event_writer.pipeline_control
        SET seek_sequence = $2, seek_time = $3, seek_force = $4,
            changed_at = pg_catalog.now(), changed_by = session_user
        WHERE pipeline = $1 AND paused";
    let args = [name.into(), sequence.into(), time.into(), force.into()];
    let found = Spi::connect_mut(|client| client.update(query, None, &args).map(|t| t.len()))?;
    if found == 0 {
        return Err(UserError::NotPaused(name.to_owned()));
    }
    workers::wake_on_commit();
    match sequence {
        Some(sequence) => meaning(name, sequence, force),
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

/// What will happen, as far as the record tells.
fn meaning(name: &str, sequence: i64, force: bool) -> Result<String, UserError> {
    let query = "SELECT p.floor,
            GREATEST(p.floor, COALESCE(pg_catalog.upper(p.above) - 1, p.floor)),
            EXISTS (SELECT FROM sr_event_writer.stream_gap g
                WHERE g.pipeline = p.pipeline AND g.stream = p.stream
                    AND g.stream_created = p.stream_created
                    AND g.reason = 'seek' AND g.last_sequence >= $2)
        FROM sr_event_writer.stream_position p WHERE p.pipeline = $1
        ORDER BY p.updated_at DESC LIMIT 1";
    let (floor, last, skipped) = Spi::connect(|client| {
        match client
            .select(query, Some(1), &[name.into(), sequence.into()])?
            .next()
        {
            Some(row) => Ok((row.get::<i64>(1)?, row.get::<i64>(2)?, row.get::<bool>(3)?)),
            None => Ok::<_, spi::Error>((None, None, None)),
        }
    })?;
    let (floor, last) = (floor.unwrap_or(0), last.unwrap_or(0));
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
    if skipped == Some(true) {
        text += "; what an earlier seek has left out from there on will be read";
    }
    Ok(text)
}
