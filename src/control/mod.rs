//! The SQL functions that change something, and the decoder as a function. They talk to the
//! workers only through tables, a number in shared memory and signals, never directly; replay does
//! the worker's work in the caller's transaction.

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

/// Refuses a name that no active pipeline has.
fn require_pipeline(name: &str) -> Result<(), UserError> {
    match config::pipeline_names().iter().any(|known| known == name) {
        true => Ok(()),
        false => Err(UserError::UnknownPipeline(name.to_owned())),
    }
}
