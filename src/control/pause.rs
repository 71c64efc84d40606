//! Pauses and resumes pipelines, by a row in a table that the caller's transaction writes. The
//! workers are woken when it commits.

use super::{warn_if_misconfigured, workers};
use crate::catalog::pipeline_control;
use crate::config;
use crate::error::{UserError, or_raise};
use pgrx::prelude::*;

/// Pauses one pipeline, or all of them.
#[pg_extern]
fn sr_event_writer_pause(name: default!(Option<String>, "NULL")) {
    or_raise(set_paused(name, true));
}

/// Resumes one pipeline, or all of them.
#[pg_extern]
fn sr_event_writer_resume(name: default!(Option<String>, "NULL")) {
    or_raise(set_paused(name, false));
}

/// Writes the request for one pipeline, or for all of them.
fn set_paused(name: Option<String>, paused: bool) -> Result<(), UserError> {
    let active = config::pipeline_names();
    let names = match name {
        None => active,
        Some(name) if active.contains(&name) => vec![name],
        Some(name) => return Err(UserError::UnknownPipeline(name)),
    };
    names.iter().for_each(|name| warn_if_misconfigured(name));
    pipeline_control::set_paused(names, paused)?;
    workers::wake_on_commit();
    Ok(())
}
