//! State of the NATS side that the status shows: plain values that the NATS thread writes and the
//! main thread reads. Nothing blocks here.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The kind of a [`Phase`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// There is no connection to a server.
    Connecting,
    /// The last session failed; the next one begins after a delay.
    Waiting,
    /// The session waits until the main thread has read the position from the database.
    Positioning,
    /// Messages are fetched.
    Fetching,
    /// There are messages, but the byte budget has no memory for them.
    OutOfMemory,
    /// Stopped by the main thread.
    Stopped,
}

/// The current activity of a pipeline, with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The kind of activity.
    pub kind: PhaseKind,
    /// Cause and next action, for an operator; empty when there is no problem.
    pub detail: String,
}

impl Phase {
    /// The phase of a pipeline that fetches messages without a problem.
    pub(crate) const FETCHING: Self = Self {
        kind: PhaseKind::Fetching,
        detail: String::new(),
    };
}

/// State of one pipeline on the NATS side.
#[derive(Debug)]
pub struct PipelineState {
    phase: Mutex<Phase>,
    /// Messages that the consumer has still to deliver.
    pub pending: AtomicU64,
    /// Messages that were fetched and whose batch has not been dropped yet.
    pub in_memory: AtomicU64,
    /// Messages that were delivered, and that the server has no acknowledgement for.
    pub ack_pending: AtomicU64,
    /// Highest stream sequence up to which the server has all acknowledgements.
    pub(crate) ack_floor: AtomicU64,
    /// What the server says when it refuses to take acknowledgements from this user.
    ack_refusal: Mutex<Option<String>>,
    /// Redeliveries since the main thread last read this number and set it to 0.
    pub redelivered: AtomicU64,
    /// Deliveries of messages that this session had fetched before, counted in the same way.
    pub duplicates_in_flight: AtomicU64,
}

impl Default for PipelineState {
    fn default() -> Self {
        let phase = Phase {
            kind: PhaseKind::Connecting,
            detail: String::new(),
        };
        Self {
            phase: Mutex::new(phase),
            pending: AtomicU64::new(0),
            in_memory: AtomicU64::new(0),
            ack_pending: AtomicU64::new(0),
            ack_floor: AtomicU64::new(0),
            ack_refusal: Mutex::new(None),
            redelivered: AtomicU64::new(0),
            duplicates_in_flight: AtomicU64::new(0),
        }
    }
}

impl PipelineState {
    /// Returns the current phase.
    pub fn phase(&self) -> Phase {
        self.phase.lock().clone()
    }

    /// Returns what the server says when it refuses to take acknowledgements from this user.
    pub fn ack_refusal(&self) -> Option<String> {
        self.ack_refusal.lock().clone()
    }

    pub(crate) fn set_ack_refusal(&self, refusal: Option<String>) {
        *self.ack_refusal.lock() = refusal;
    }

    pub(crate) fn set_phase(&self, kind: PhaseKind, detail: impl Into<String>) {
        *self.phase.lock() = Phase {
            kind,
            detail: detail.into(),
        };
    }
}

/// The messages of a batch, counted in [`PipelineState::in_memory`] until this is dropped.
#[derive(Debug)]
pub(crate) struct InMemoryCount {
    state: Arc<PipelineState>,
    messages: u64,
}

impl InMemoryCount {
    /// Starts with no message.
    pub(crate) fn none(state: Arc<PipelineState>) -> Self {
        Self { state, messages: 0 }
    }

    /// Starts with no message, for another batch of the same pipeline.
    pub(crate) fn successor(&self) -> Self {
        Self::none(self.state.clone())
    }

    /// Counts one more message.
    pub(crate) fn add_one(&mut self) {
        self.messages += 1;
        self.state.in_memory.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for InMemoryCount {
    fn drop(&mut self) {
        let in_memory = &self.state.in_memory;
        in_memory.fetch_sub(self.messages, Ordering::Relaxed);
    }
}

/// Formats a delay in seconds for [`Phase::detail`].
pub(crate) fn seconds(delay: Duration) -> String {
    format!("{:.1} s", delay.as_secs_f64())
}
