//! The SQL functions that change something, and the decoders as a function. They reach the workers
//! only through tables, a number in shared memory, and signals. Only replay does the worker's work
//! itself, in the caller's transaction.

mod decoder;
mod pause;
mod replay;
mod replayer;
mod restart;
mod seek;
mod wait;
mod workers;

use crate::config::{self, PipelineConfig, PipelineDefinition};
use crate::error::UserError;
use crate::status::{self, State};

/// Checks that an active pipeline has this name.
///
/// # Errors
/// When no active pipeline has it.
fn require_pipeline(name: &str) -> Result<(), UserError> {
    match config::pipeline_names().iter().any(|known| known == name) {
        true => Ok(()),
        false => Err(UserError::UnknownPipeline(name.to_owned())),
    }
}

/// Returns the settings of a pipeline.
///
/// # Errors
/// When they are refused, with the reason.
fn accepted_config(pipeline: &PipelineDefinition) -> Result<&PipelineConfig, UserError> {
    let refused = |reason: &config::ParseError| UserError::MisconfiguredPipeline {
        name: pipeline.name.clone(),
        reason: reason.to_string(),
    };
    pipeline.config.as_ref().map_err(refused)
}

/// Checks that the worker of a pipeline does not report it as misconfigured.
///
/// # Errors
/// When it does, with its reason.
fn require_configured(name: &str) -> Result<(), UserError> {
    let misconfigured = status::pipeline(name, |pipeline| {
        (pipeline.state == State::Misconfigured).then(|| pipeline.detail.get().to_owned())
    });
    match misconfigured.flatten() {
        None => Ok(()),
        Some(reason) => Err(UserError::MisconfiguredPipeline {
            name: name.to_owned(),
            reason,
        }),
    }
}

/// Warns that a request to a pipeline has to wait, if the pipeline is misconfigured.
fn warn_if_misconfigured(name: &str) {
    if let Err(error) = require_configured(name) {
        error.warn("The request takes effect when the settings are corrected and reloaded.");
    }
}
