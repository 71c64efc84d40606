//! Pipelines that cannot write: what they hold, and what they leave to the others.

mod memory;
mod tables;
