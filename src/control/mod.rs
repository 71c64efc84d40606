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

use crate::config;
use crate::error::UserError;

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
