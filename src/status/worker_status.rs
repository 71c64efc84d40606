//! What shared memory holds of one worker.

use super::state::{BreakerState, ConnectionState, State};
use super::text::Text;

/// One worker, as it told last.
#[derive(Clone, Copy, Default)]
pub struct WorkerStatus {
    /// What it is doing.
    pub state: State,
    /// The cause and what happens next, in words.
    pub reason: Text<400>,
    /// Time since which it is in this state, in microseconds since 2000-01-01; 0 stands for
    /// "never".
    pub since: i64,
    /// Its connection to NATS.
    pub connection: ConnectionState,
    /// Address of the NATS server, while connected.
    pub server: Text<120>,
    /// How often the connection was made again.
    pub reconnects: u64,
    /// The last error that the connection reported.
    pub nats_error: Text<300>,
    /// Its circuit breaker.
    pub breaker: BreakerState,
    /// Server errors in a row.
    pub breaker_failures: u32,
    /// Bytes of `sr_event_writer.buffer_memory` that are in use.
    pub memory_bytes: u64,
    /// Dead letters, where `sr_event_writer.dead_letter_max_size` limits them. Only the first
    /// worker looks after them.
    pub dead_letters: DeadLetterSize,
}

/// What dead letters take, and what the limit has cost.
#[derive(Clone, Copy, Default)]
pub struct DeadLetterSize {
    /// Bytes that they took when they were last measured.
    pub bytes: u64,
    /// How many were removed to make room, since the server started.
    pub removed: u64,
}
