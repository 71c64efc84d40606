//! Pipelines as the status functions show them: the columns of the view
//! `sr_event_writer.stream_status`, which are also the keys in `sr_event_writer_status()`.

use super::pipeline_status::PipelineStatus;
use super::shared_memory::SharedStatus;
use super::state::State;
use super::summary::{Silence, time};
use crate::config;
use crate::pg::clock::now;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// Microseconds in a second.
const MICROS_PER_SECOND: f64 = 1e6;

/// Defines [`StatusRow`], [`row()`] and [`object`] from one list of columns, each with its name,
/// its type, and a function that gets its value from a [`ShownPipeline`].
macro_rules! columns {
    ($($name:ident: $type:ty = $value:expr,)*) => {
        /// A row of the view.
        pub type StatusRow = ($($type,)*);

        /// Returns a pipeline's row.
        pub fn row(shown: &ShownPipeline<'_>) -> StatusRow {
            ($({
                let value: fn(&ShownPipeline<'_>) -> $type = $value;
                value(shown)
            },)*)
        }

        /// Returns the same values as a JSON object, with the columns' names as keys.
        pub fn object(shown: &ShownPipeline<'_>) -> Value {
            Value::Object([$({
                let value: fn(&ShownPipeline<'_>) -> $type = $value;
                (stringify!($name).to_owned(), json!(value(shown)))
            },)*].into_iter().collect())
        }
    };
}

// The order is that of the view's columns.
columns! {
    name: String = |p| p.status.name.get().to_owned(),
    processor: Option<String> = |p| p.status.processor.non_empty(),
    table: Option<String> = |p| p.status.table.non_empty(),
    nats_stream: Option<String> = |p| p.status.nats_stream.non_empty(),
    consumer: Option<String> = |p| p.status.consumer.non_empty(),
    state: &'static str = |p| p.state().as_str(),
    detail: Option<String> = |p| p.detail(),
    last_sequence: i64 = |p| bigint(p.status.last_sequence),
    pending: Option<i64> = |p| p.pending().map(bigint),
    lag_seconds: Option<f64> = |p| p.lag_seconds(),
    ack_pending: i64 = |p| bigint(p.status.ack_pending),
    messages_total: i64 = |p| bigint(p.status.counters.messages),
    rows_total: i64 = |p| bigint(p.status.counters.rows),
    bytes_total: i64 = |p| bigint(p.status.counters.bytes),
    batches_total: i64 = |p| bigint(p.status.counters.batches),
    redelivered_total: i64 = |p| bigint(p.status.counters.redelivered),
    duplicates_skipped_total: i64 = |p| bigint(p.status.counters.duplicates_skipped),
    dead_letters_total: i64 = |p| bigint(p.status.counters.dead_letters),
    retries_total: i64 = |p| bigint(p.status.counters.retries),
    batch_ms_mean: Option<f64> = |p| p.status.latency.mean_ms(),
    batch_ms_p99: Option<f64> = |p| p.status.latency.p99_ms(),
    last_commit_at: Option<TimestampWithTimeZone> = |p| time(p.status.last_commit_at),
    last_error: Option<String> = |p| p.status.last_error.non_empty(),
    last_error_at: Option<TimestampWithTimeZone> = |p| time(p.status.last_error_at),
}

/// The status of one pipeline, and whether its worker still reports it.
pub struct ShownPipeline<'a> {
    /// The status that the worker last reported.
    status: &'a PipelineStatus,
    /// Set when the worker has been silent for too long.
    silence: Option<Silence>,
}

/// Returns the active pipelines whose workers have started.
pub fn pipelines(status: &SharedStatus) -> impl Iterator<Item = ShownPipeline<'_>> {
    let active = config::pipeline_names().len();
    let pipelines = status.pipelines.iter().take(active).enumerate();
    let started = pipelines.filter(|(_, status)| !status.name.get().is_empty());
    started.map(|(slot, status)| ShownPipeline {
        status,
        silence: Silence::of(slot % config::workers()),
    })
}

impl ShownPipeline<'_> {
    /// Returns the state to show.
    fn state(&self) -> State {
        match self.silence {
            Some(_) => State::Unresponsive,
            None => self.status.state,
        }
    }

    /// Returns the reason for the state, as text.
    fn detail(&self) -> Option<String> {
        match &self.silence {
            Some(silence) => Some(silence.to_string()),
            None => self.status.detail.non_empty(),
        }
    }

    /// Returns how many messages are pending. `None` when that is unknown: if a silent worker last
    /// saw none, there may be some by now, and for a misconfigured pipeline nobody looks.
    fn pending(&self) -> Option<u64> {
        let unknown = matches!(self.state(), State::Unresponsive | State::Misconfigured);
        (!unknown || self.status.pending > 0).then_some(self.status.pending)
    }

    /// Returns the lag in seconds: the age of the newest message that is recorded, while others are
    /// pending. When a silent worker last saw none pending, that is the time since its last
    /// heartbeat. `None` when it is unknown.
    fn lag_seconds(&self) -> Option<f64> {
        let since = match (&self.silence, self.status.pending) {
            (None, 0) if self.status.state == State::Misconfigured => return None,
            (None, 0) => return Some(0.0),
            (Some(silence), 0) => silence.since(),
            _ => self.status.last_published,
        };
        let age = now().checked_sub(since)?;
        (since != 0).then_some((age.max(0) as f64) / MICROS_PER_SECOND)
    }
}

/// Converts a count to SQL's bigint.
fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
