//! The status of one pipeline in shared memory.

use super::latency::Latency;
use super::state::State;
use super::text::BoundedText;

/// The status of one pipeline, as its worker last reported it. Times are microseconds since
/// 2000-01-01, as PostgreSQL stores them; 0 means never.
#[derive(Clone, Copy, Default)]
pub struct PipelineStatus {
    /// The pipeline's name in `sr_event_writer.streams`; empty until its worker has started.
    pub name: BoundedText<48>,
    /// The name of its format; like the next three, empty while its settings are refused.
    pub processor: BoundedText<32>,
    /// The destination; of a format that fills several tables, the first one.
    pub table: BoundedText<140>,
    /// The JetStream stream; empty until it is found.
    pub nats_stream: BoundedText<256>,
    /// The name of its durable consumer.
    pub consumer: BoundedText<100>,
    /// The state that it is in.
    pub state: State,
    /// The reason for the state and what happens next, as text.
    pub detail: BoundedText<400>,
    /// What the server log last said about state and reason.
    pub logged: LoggedState,
    /// The creation time of `nats_stream`; 0 until a worker of this server has read it. Only then
    /// `floor` and `last_sequence` are valid.
    pub stream_created: i64,
    /// The stream sequence up to which everything is recorded.
    pub floor: u64,
    /// The highest stream sequence that is recorded.
    pub last_sequence: u64,
    /// Messages that are in the stream and not recorded.
    pub pending: u64,
    /// Messages that are delivered and not acknowledged, as counted by the NATS server.
    pub ack_pending: u64,
    /// The publish time of the newest message that is recorded.
    pub last_published: i64,
    /// Counts of its work since the server started.
    pub counters: Counters,
    /// The durations of its batches.
    pub latency: Latency,
    /// The time of its last commit.
    pub last_commit_at: i64,
    /// The last error of the database.
    pub last_error: BoundedText<400>,
    /// The time of `last_error`.
    pub last_error_at: i64,
}

impl PipelineStatus {
    /// Clears everything that follows from the pipeline's settings, and keeps what it has done so
    /// far.
    pub fn forget_settings(&mut self) {
        *self = Self {
            last_published: self.last_published,
            counters: self.counters,
            latency: self.latency,
            last_commit_at: self.last_commit_at,
            last_error: self.last_error,
            last_error_at: self.last_error_at,
            ..Self::default()
        };
    }
}

/// A state with its reason, as the server log mentions it.
#[derive(Clone, Copy, Default)]
pub struct LoggedState {
    /// The state.
    pub state: State,
    /// The reason for the state, as text.
    pub detail: BoundedText<400>,
}

/// Counts of a pipeline's work since the server started.
#[derive(Clone, Copy, Default)]
pub struct Counters {
    /// Messages that were committed.
    pub messages: u64,
    /// Rows that were committed.
    pub rows: u64,
    /// Bytes of payload that were committed.
    pub bytes: u64,
    /// Transactions that committed messages.
    pub batches: u64,
    /// Redeliveries: deliveries of a message after its first.
    pub redelivered: u64,
    /// Deliveries of messages that were recorded or in memory already.
    pub duplicates_skipped: u64,
    /// Dead letters that were written.
    pub dead_letters: u64,
    /// Transactions that failed and were tried again.
    pub retries: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_outlives_the_settings() {
        let mut status = PipelineStatus::default();
        status.processor.set("Logs");
        status.table.set("logs");
        status.consumer.set("db-writer-logs");
        status.nats_stream.set("LOGS");
        (status.stream_created, status.floor, status.pending) = (1, 7, 3);
        status.counters.rows = 7;
        status.last_error.set("it was full");
        status.forget_settings();
        let texts = [status.processor.get(), status.table.get()];
        assert_eq!(texts, ["", ""]);
        assert_eq!([status.consumer.get(), status.nats_stream.get()], ["", ""]);
        // Without the stream's creation time, a position counts as unknown.
        assert_eq!((status.stream_created, status.pending), (0, 0));
        assert_eq!(status.counters.rows, 7);
        assert_eq!(status.last_error.get(), "it was full");
    }
}
