//! The status of one worker in shared memory.

use super::state::{BreakerState, ConnectionState, State};
use super::text::BoundedText;

/// The status of one worker, as it last reported it.
#[derive(Clone, Copy, Default)]
pub struct WorkerStatus {
    /// The state that it is in.
    pub state: State,
    /// The reason for the state and what happens next, as text.
    pub reason: BoundedText<400>,
    /// The time when it entered this state, in microseconds since 2000-01-01; 0 means never.
    pub since: i64,
    /// The state of its connection to NATS.
    pub connection: ConnectionState,
    /// The address of the NATS server, while connected.
    pub server: BoundedText<120>,
    /// The number of times that the connection was established again.
    pub reconnects: u64,
    /// The last error that the connection reported.
    pub nats_error: BoundedText<300>,
    /// The detail of the last error, while it keeps the connection from being made.
    pub nats_detail: BoundedText<400>,
    /// What to do about that.
    pub nats_hint: BoundedText<300>,
    /// The state of its circuit breaker.
    pub breaker: BreakerState,
    /// Server errors in a row.
    pub breaker_failures: u32,
    /// Bytes of `sr_event_writer.buffer_memory` that are in use.
    pub memory_bytes: u64,
    /// The size of the dead letters, if `sr_event_writer.dead_letter_max_size` limits it. Only the
    /// first worker measures and enforces it.
    pub dead_letters: DeadLetterSize,
}

/// The size of the dead letters, and how many were removed because of its limit.
#[derive(Clone, Copy, Default)]
pub struct DeadLetterSize {
    /// Bytes that they took when they were last measured.
    pub bytes: u64,
    /// Dead letters that were removed to make room, since the server started.
    pub removed: u64,
}
