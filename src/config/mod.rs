//! Settings: the only place that reads a GUC. Everything else gets an immutable [`Config`], made on
//! the main thread and made anew after a reload.

mod check;
mod fault;
mod gucs;
mod parse;
mod preset;

pub use fault::{Fault, fault};
pub use gucs::WORKERS_MAX;
pub use gucs::define;
pub use parse::{PIPELINES_MAX, ParseError};

use nats::{Pipeline, Settings};
use std::time::Duration;

/// How far a commit must have come before its messages are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckAfter {
    /// On this server's disk.
    Flush,
    /// Also on the disks of the synchronous standbys.
    Replicated,
    /// Also visible on the synchronous standbys.
    Applied,
}

/// Which part of a hypertable rows are written into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columnstore {
    /// What TimescaleDB's own settings say; usually the rowstore.
    #[default]
    Default,
    /// The columnstore, where that is safe.
    Direct,
}

/// All settings at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Master switch.
    pub enabled: bool,
    /// What the NATS side needs.
    pub stream: Settings,
    /// The active pipelines, in order.
    pub pipelines: Vec<PipelineConfig>,
    /// What the write path needs.
    pub write: WriteConfig,
}

/// One pipeline: the NATS side of it, and its destination.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// Fetch and decode.
    pub nats: Pipeline,
    /// Destination instead of the format's own table, as given: perhaps schema-qualified.
    pub table: Option<String>,
    /// Part of the destination.
    pub columnstore: Columnstore,
}

/// Settings of the main thread's work.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteConfig {
    /// Rows a transaction may grow to under backlog.
    pub max_batch_rows: usize,
    /// A batch that takes longer is cancelled and tried again smaller.
    pub insert_timeout: Duration,
    /// When to acknowledge.
    pub ack_after: AckAfter,
    /// First delay after a database error.
    pub retry_min: Duration,
    /// Longest delay after a database error.
    pub retry_max: Duration,
    /// Consecutive failures that open the circuit breaker.
    pub breaker_failures: u32,
    /// How long the breaker stays open before a probe.
    pub breaker_reset: Duration,
    /// Dead letters are also published below this subject.
    pub dead_letter_subject: Option<String>,
    /// Age at which dead letters are removed; `None` keeps them.
    pub dead_letter_retention: Option<Duration>,
    /// Bytes of dead letters above which the oldest are removed; `None` for no limit.
    pub dead_letter_max_size: Option<u64>,
}

/// Reads the current settings.
///
/// # Errors
/// Two settings contradict each other; each alone was checked when it was set.
pub fn read() -> Result<Config, ParseError> {
    gucs::read()
}

/// Name of the database that holds the extension and the tables.
pub fn database() -> String {
    gucs::database()
}

/// Number of background workers.
pub fn workers() -> usize {
    gucs::workers()
}

/// Bytes of dead letters above which the oldest are removed.
pub fn dead_letter_max_size() -> Option<u64> {
    gucs::dead_letter_max_size()
}

/// Names of the active pipelines, in order.
pub fn pipeline_names() -> Vec<String> {
    gucs::pipeline_names()
}
