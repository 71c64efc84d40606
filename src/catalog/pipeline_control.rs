//! `sr_event_writer.pipeline_control`: requests of operators to the pipelines.

use super::from_timestamptz;
use crate::pg::failure::Failure;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use row::Timestamp;
use std::collections::HashSet;

/// Requests of operators, as names of pipelines.
#[derive(Debug, Default)]
pub struct OperatorRequests {
    /// Pipelines to pause.
    pub paused: HashSet<String>,
    /// Pipelines with a pending seek.
    pub seeking: HashSet<String>,
}

/// The position at which an operator wants a pipeline to continue.
pub struct SeekRequest {
    /// Sequence to continue with, if the operator gave one.
    pub sequence: Option<u64>,
    /// Time to continue at, if the operator gave one: with the first message published then or
    /// later.
    pub time: Option<Timestamp>,
    /// True if messages that are recorded from there on have to be written again.
    pub force: bool,
}

/// Reads the requests of operators.
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

/// Pauses or resumes pipelines.
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

/// Requests a seek of a pipeline. Returns false if the pipeline is not paused.
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

/// Reads and locks the seek of a pipeline. A pipeline that is still paused keeps its seek for
/// later, since the operator may change it. If a session has locked the row, this fails instead of
/// waiting, so that other pipelines continue.
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

/// Clears the seek of a pipeline after it was performed.
pub fn clear_seek(pipeline: &str) -> Result<(), Failure> {
    let query = "UPDATE sr_event_writer.pipeline_control
        SET seek_sequence = NULL, seek_time = NULL, seek_force = false WHERE pipeline = $1";
    Ok(Spi::run_with_args(query, &[pipeline.into()])?)
}
