//! What shared memory holds of one pipeline.

use super::latency::Latency;
use super::state::State;
use super::text::Text;

/// One pipeline, as its worker told last. Times are microseconds since 2000-01-01, as PostgreSQL
/// stores them; 0 stands for "never".
#[derive(Clone, Copy, Default)]
pub struct PipelineStatus {
    /// Name in `sr_event_writer.streams`; empty until its worker has started.
    pub name: Text<48>,
    /// Name of its format.
    pub processor: Text<32>,
    /// Destination; the first one of a format that fills several tables.
    pub table: Text<140>,
    /// The JetStream stream; empty until it was found.
    pub nats_stream: Text<256>,
    /// Name of its durable consumer.
    pub consumer: Text<100>,
    /// What it is doing.
    pub state: State,
    /// The cause and what happens next, in words.
    pub detail: Text<400>,
    /// Time when `nats_stream` was created, once this server's worker knows it: only then `floor`
    /// and `last_sequence` say something.
    pub stream_created: i64,
    /// Stream sequence up to which everything is recorded.
    pub floor: u64,
    /// The highest stream sequence that is recorded.
    pub last_sequence: u64,
    /// Messages that are in the stream and not recorded.
    pub pending: u64,
    /// Messages that the server waits to see acknowledged.
    pub ack_pending: u64,
    /// Publish time of the newest message that is recorded.
    pub last_published: i64,
    /// What it has done since the server started.
    pub counters: Counters,
    /// How long its batches took.
    pub latency: Latency,
    /// Time of its last commit.
    pub last_commit_at: i64,
    /// The last error of the database.
    pub last_error: Text<400>,
    /// Time of `last_error`.
    pub last_error_at: i64,
}

/// What a pipeline has done since the server started.
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
    /// Deliveries after a message's first.
    pub redelivered: u64,
    /// Deliveries of messages that were recorded or in memory already.
    pub duplicates_skipped: u64,
    /// Dead letters that were written.
    pub dead_letters: u64,
    /// Transactions that failed, and were tried again.
    pub retries: u64,
}
