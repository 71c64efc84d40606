//! State of the NATS side that the status shows: plain values that the NATS thread writes and the
//! main thread reads. Nothing blocks here, except that [`Connection`] lets a session wait for the
//! connection.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

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

/// State of the connection to NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// Not connected; attempts are being made.
    Disconnected,
    /// Connected.
    Connected,
    /// Connected to a server that is about to shut down.
    LameDuck,
}

/// An error that the server or the client reported, with the time of the report.
#[derive(Debug)]
struct ReportedError {
    text: String,
    at: Instant,
}

/// The connection to NATS, as the status shows it.
#[derive(Debug)]
pub struct Connection {
    state: Mutex<(Connectivity, Option<ReportedError>)>,
    server: Mutex<Option<String>>,
    connects: AtomicU64,
    changed: tokio::sync::watch::Sender<bool>,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            state: Mutex::new((Connectivity::Disconnected, None)),
            server: Mutex::new(None),
            connects: AtomicU64::new(0),
            changed: tokio::sync::watch::Sender::new(false),
        }
    }
}

impl Connection {
    /// Returns whether the connection is up.
    pub fn connectivity(&self) -> Connectivity {
        self.state.lock().0
    }

    /// Returns the last error that was reported on the connection.
    pub fn last_error(&self) -> Option<String> {
        let state = self.state.lock();
        state.1.as_ref().map(|reported| reported.text.clone())
    }

    /// Returns the last error, if it was reported at `start` or later.
    pub(crate) fn error_since(&self, start: Instant) -> Option<String> {
        let state = self.state.lock();
        let last = state.1.as_ref().filter(|reported| reported.at >= start);
        last.map(|reported| reported.text.clone())
    }

    /// Returns host and port of the server while connected.
    pub fn server(&self) -> Option<String> {
        self.server.lock().clone()
    }

    /// Returns whether the very first attempt to connect is still being made.
    pub fn is_trying_first(&self) -> bool {
        let (connectivity, error) = &*self.state.lock();
        *connectivity == Connectivity::Disconnected
            && error.is_none()
            && self.connects.load(Ordering::Relaxed) == 0
    }

    /// Returns how often the connection was restored.
    pub fn reconnects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed).saturating_sub(1)
    }

    pub(crate) fn set_connectivity(&self, connectivity: Connectivity) {
        if connectivity == Connectivity::Connected {
            self.connects.fetch_add(1, Ordering::Relaxed);
        }
        self.state.lock().0 = connectivity;
        self.changed
            .send_replace(connectivity != Connectivity::Disconnected);
    }

    pub(crate) fn set_error(&self, error: String) {
        let at = Instant::now();
        self.state.lock().1 = Some(ReportedError { text: error, at });
    }

    pub(crate) fn set_server(&self, server: Option<String>) {
        *self.server.lock() = server;
    }

    /// Returns once the connection is up, however long that takes.
    pub(crate) async fn connected(&self) {
        let mut up = self.changed.subscribe();
        // The sender lives in self, so the wait cannot fail.
        let _ = up.wait_for(|up| *up).await;
    }

    /// Returns once the connection is down, even if it was down only for a moment.
    pub(crate) async fn disconnected(&self) {
        let before = self.connects.load(Ordering::Relaxed);
        let again = || self.connects.load(Ordering::Relaxed) != before;
        let mut up = self.changed.subscribe();
        let _ = up.wait_for(|up| !*up || again()).await;
    }
}

/// Formats a delay in seconds for [`Phase::detail`].
pub(crate) fn seconds(delay: Duration) -> String {
    format!("{:.1} s", delay.as_secs_f64())
}
