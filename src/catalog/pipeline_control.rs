//! `sr_event_writer.pipeline_control`: what operators ask of the pipelines.

use super::from_timestamptz;
use crate::pg::failure::Failure;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use row::Timestamp;
use std::collections::HashSet;

/// Requests of operators, by the names of the pipelines.
#[derive(Debug, Default)]
pub struct OperatorRequests {
    /// Pipelines to pause.
    pub paused: HashSet<String>,
    /// Pipelines with a pending seek.
    pub seeking: HashSet<String>,
}

/// Where an operator wants a pipeline to continue.
pub struct SeekRequest {
    /// With this stream sequence …
    pub sequence: Option<u64>,
    /// … or with the first message that was published then or later.
    pub time: Option<Timestamp>,
    /// Whether what is recorded from there on is written again.
    pub force: bool,
}

/// Reads the requests of operators.
///
/// # Errors
/// What the database says.
pub fn requests() -> Result<OperatorRequests, Failure> {
    let query = "SELECT pipeline, paused, seek_sequence IS NOT NULL OR seek_time IS NOT NULL
        FROM sr_event_writer.pipeline_control";
    Spi::connect(|client| {
        let mut requests = OperatorRequests::default();
        for row in client.select(query, None, &[])? {
            let name = row.get::<String>(1)?;
            if row.get(2)? == Some(true) {
                requests.paused.extend(name.clone());
            }
            if row.get(3)? == Some(true) {
                requests.seeking.extend(name);
            }
        }
        Ok(requests)
    })
}

/// Pauses pipelines, or resumes them.
///
/// # Errors
/// What the database says.
pub fn set_paused(pipelines: Vec<String>, paused: bool) -> Result<(), Failure> {
    let query = "INSERT INTO sr_event_writer.pipeline_control
            (pipeline, paused, changed_at, changed_by)
        SELECT name, $2, pg_catalog.now(), session_user FROM pg_catalog.unnest($1) AS name
        ON CONFLICT (pipeline) DO UPDATE SET paused = EXCLUDED.paused,
            changed_at = EXCLUDED.changed_at, changed_by = EXCLUDED.changed_by";
    Ok(Spi::run_with_args(
        query,
        &[pipelines.into(), paused.into()],
    )?)
}

/// Asks for a seek of a paused pipeline. Returns whether it is paused.
///
/// # Errors
/// What the database says.
pub fn request_seek(
    pipeline: &str,
    sequence: Option<i64>,
    time: Option<TimestampWithTimeZone>,
    force: bool,
) -> Result<bool, Failure> {
    let query = "UPDATE sr_event_writer.pipeline_control
        SET seek_sequence = $2, seek_time = $3, seek_force = $4,
            changed_at = pg_catalog.now(), changed_by = session_user
        WHERE pipeline = $1 AND paused";
    let args = [pipeline.into(), sequence.into(), time.into(), force.into()];
    let found = Spi::connect_mut(|client| client.update(query, None, &args).map(|t| t.len()))?;
    Ok(found > 0)
}

/// Reads and locks the seek of a pipeline. One that is still paused keeps it for later: the
/// operator may change it. While a session is at that, this fails instead of waiting: other
/// pipelines go on.
///
/// # Errors
/// What the database says.
pub fn lock_seek(pipeline: &str) -> Result<Option<SeekRequest>, Failure> {
    let query = "SELECT seek_sequence, seek_time, seek_force
        FROM sr_event_writer.pipeline_control
        WHERE pipeline = $1 AND NOT paused
            AND (seek_sequence IS NOT NULL OR seek_time IS NOT NULL)
        FOR UPDATE NOWAIT";
    Spi::connect_mut(|client| {
        let Some(row) = client.update(query, Some(1), &[pipeline.into()])?.next() else {
            return Ok(None);
        };
        Ok(Some(SeekRequest {
            sequence: row.get::<i64>(1)?.map(i64::unsigned_abs),
            time: from_timestamptz(row.get(2)?),
            force: row.get(3)?.unwrap_or(false),
        }))
    })
}

/// Notes that the seek of a pipeline is done.
///
/// # Errors
/// What the database says.
pub fn clear_seek(pipeline: &str) -> Result<(), Failure> {
    let query = "UPDATE sr_event_writer.pipeline_control
        SET seek_sequence = NULL, seek_time = NULL, seek_force = false WHERE pipeline = $1";
    Ok(Spi::run_with_args(query, &[pipeline.into()])?)
}
