//! Settings. This is the only place that reads a GUC. All other code gets an immutable [`Config`],
//! which the main thread creates, and creates again after a reload.

mod check;
mod fault;
mod nats_side;
mod parse;
mod pipelines;
mod preset;
mod resolve;
mod setting;
mod settings;

pub use fault::{Fault, fault};
pub use parse::{PIPELINES_MAX, ParseError};
pub use settings::WORKERS_MAX;

use nats::{PipelineSettings, Settings};
use pgrx::guc::PostgresGucEnum;
use std::time::Duration;

/// The stage of durability that a commit must reach before its messages are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub enum AckAfter {
    /// The commit is flushed to this server's disk.
    #[name = c"flush"]
    Flush,
    /// It is also flushed to the disks of the synchronous standbys.
    #[name = c"replicated"]
    Replicated,
    /// It is also applied on the synchronous standbys, so that its rows are visible there.
    #[name = c"applied"]
    Applied,
}

/// The option `columnstore`: the part of a hypertable that rows are written into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColumnstoreOption {
    /// The part that TimescaleDB's own settings select, usually the rowstore.
    #[default]
    Default,
    /// The columnstore, where that is safe.
    Direct,
}

/// All settings, as they were when they were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// False if nothing is consumed at all.
    pub enabled: bool,
    /// Settings of the NATS side that all pipelines share.
    pub nats: Settings,
    /// The active pipelines, in the order of `sr_event_writer.streams`. Refused ones are among
    /// them, because the index is the slot in shared memory and decides which worker a pipeline
    /// belongs to.
    pub pipelines: Vec<PipelineDefinition>,
    /// Settings of the main thread.
    pub write: WriteConfig,
}

impl Config {
    /// Returns the active pipeline that has this name.
    pub fn pipeline(&self, name: &str) -> Option<&PipelineDefinition> {
        self.pipelines.iter().find(|pipeline| pipeline.name == name)
    }

    /// Returns whether nothing can run: there are pipelines, and all of them are refused.
    pub fn is_all_refused(&self) -> bool {
        let mut pipelines = self.pipelines.iter();
        !self.pipelines.is_empty() && pipelines.all(|pipeline| pipeline.config.is_err())
    }
}

/// An active pipeline, as the settings define it.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineDefinition {
    /// Its name in `sr_event_writer.streams`.
    pub name: String,
    /// Its settings, or the reason why they are refused. A refused pipeline does not run, and stops
    /// no other.
    pub config: Result<PipelineConfig, ParseError>,
}

/// The settings of one pipeline: its NATS side and its destination.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// The source of its messages, and the format that turns them into rows.
    pub nats: PipelineSettings,
    /// The destinations, one for each of the format's tables; empty for these tables themselves. As
    /// given by the user, perhaps schema-qualified.
    pub tables: Vec<String>,
    /// The part of the destinations that rows are written into.
    pub columnstore: ColumnstoreOption,
}

/// Settings of the main thread's work.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteConfig {
    /// The number of rows or messages, whichever is larger, up to which batches are merged into one
    /// transaction when there is a backlog.
    pub max_batch_rows: usize,
    /// The timeout of a transaction. A batch that takes longer is cancelled and tried again with
    /// fewer messages.
    pub insert_timeout: Duration,
    /// The stage of durability that a commit must reach before its messages are acknowledged.
    pub ack_after: AckAfter,
    /// The first delay after a database error.
    pub retry_min: Duration,
    /// The longest delay after a database error.
    pub retry_max: Duration,
    /// The number of consecutive server errors that open the circuit breaker.
    pub breaker_failures: u32,
    /// The time that the circuit breaker stays open before it lets a probe through.
    pub breaker_reset: Duration,
    /// The subject below which dead letters are also published; `None` for nowhere.
    pub dead_letter_subject: Option<String>,
    /// The age at which dead letters are removed; `None` keeps them.
    pub dead_letter_retention: Option<Duration>,
    /// Bytes of dead letters above which the oldest are removed; `None` for no limit.
    pub dead_letter_max_size: Option<u64>,
}

/// Defines all settings in PostgreSQL. Call it once, from `_PG_init`.
pub fn define() {
    let settings = settings::SETTINGS.iter();
    for setting in settings.chain(settings::nats::SETTINGS) {
        setting.define();
    }
    pipelines::define();
    #[cfg(feature = "faults")]
    fault::define();
    setting::reserve_prefix(c"sr_event_writer");
}

/// Reads the current settings.
///
/// # Errors
/// When two settings contradict each other in a way that concerns all pipelines. Each setting by
/// itself was checked when it was set.
pub fn read() -> Result<Config, ParseError> {
    let write = read_write();
    let pipelines = read_pipelines();
    if let Some(prefix) = &write.dead_letter_subject {
        let accepted = pipelines
            .iter()
            .filter_map(|pipeline| pipeline.config.as_ref().ok());
        resolve::check_dead_letter_subject(prefix, &accepted.collect::<Vec<_>>())?;
    }
    Ok(Config {
        enabled: settings::ENABLED.get(),
        nats: nats_side::read()?,
        pipelines,
        write,
    })
}

/// Returns the first and the longest delay, in this order; the longest is never below the first.
fn read_retry_delays() -> (Duration, Duration) {
    let first = settings::RETRY_MIN_DELAY.duration();
    (first, settings::RETRY_MAX_DELAY.duration().max(first))
}

/// Reads the settings of the main thread.
fn read_write() -> WriteConfig {
    let (retry_min, retry_max) = read_retry_delays();
    WriteConfig {
        max_batch_rows: settings::MAX_BATCH_ROWS.size(),
        insert_timeout: settings::INSERT_TIMEOUT.duration(),
        ack_after: settings::ACK_AFTER.get(),
        retry_min,
        retry_max,
        breaker_failures: settings::BREAKER_FAILURES.count(),
        breaker_reset: settings::BREAKER_RESET.duration(),
        dead_letter_subject: settings::DEAD_LETTER_SUBJECT.non_empty(),
        dead_letter_retention: settings::DEAD_LETTER_RETENTION.time_limit(),
        dead_letter_max_size: dead_letter_max_size(),
    }
}

/// Reads the definitions of the active pipelines.
fn read_pipelines() -> Vec<PipelineDefinition> {
    let general = resolve::General {
        batch_size: settings::BATCH_SIZE.size(),
        batch_timeout: settings::BATCH_TIMEOUT.duration(),
        max_batch_rows: settings::MAX_BATCH_ROWS.size(),
        max_age: settings::MAX_MESSAGE_AGE.time_limit(),
        max_future: settings::MAX_MESSAGE_FUTURE.time_limit(),
    };
    let define = |name: String| {
        let options = pipelines::options(&name);
        let config = options.and_then(|options| resolve::pipeline(&name, options, &general));
        PipelineDefinition { name, config }
    };
    pipeline_names().into_iter().map(define).collect()
}

/// Returns the name of the database that holds the extension and the tables.
pub fn database() -> String {
    settings::DATABASE.get()
}

/// Returns the number of background workers.
pub fn workers() -> usize {
    settings::WORKERS.size().max(1)
}

/// Returns the bytes of dead letters above which the oldest are removed; `None` for no limit.
pub fn dead_letter_max_size() -> Option<u64> {
    settings::DEAD_LETTER_MAX_SIZE.size_limit()
}

/// Returns the names of the active pipelines, in order.
pub fn pipeline_names() -> Vec<String> {
    pipelines::names()
}
