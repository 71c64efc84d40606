//! What the worker shows about the NATS side: plain values that a fetch writes and the main thread
//! reads. Nothing here waits.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// No connection to a server yet, or not any more.
    Connecting,
    /// The stream or the consumer cannot be used yet.
    Waiting,
    /// Waits for the main thread to read the position from the database.
    Positioning,
    /// Messages are fetched.
    Fetching,
    /// There are messages, and no memory for them.
    OutOfMemory,
    /// Stopped by request.
    Stopped,
}

/// What a pipeline is doing, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The kind.
    pub kind: PhaseKind,
    /// Cause and next action; empty when there is nothing to say.
    pub detail: String,
}

impl Phase {
    /// Messages are fetched, and there is nothing to say.
    pub(crate) const FETCHING: Self = Self {
        kind: PhaseKind::Fetching,
        detail: String::new(),
    };
}

/// State of one pipeline on the NATS side.
#[derive(Debug)]
pub struct PipelineState {
    phase: Mutex<Phase>,
    /// Messages in the stream that were not fetched yet.
    pub pending: AtomicU64,
    /// Messages that were fetched and are not done yet.
    pub in_memory: AtomicU64,
    /// Messages that the server waits to see acknowledged.
    pub ack_pending: AtomicU64,
    /// Deliveries after a message's first, since this was last read and set to 0.
    pub redelivered: AtomicU64,
    /// Deliveries of messages that were already in memory, likewise.
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
    /// Returns what the pipeline is doing now.
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

/// Counts the messages of a batch among those in memory, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    state: Arc<PipelineState>,
    messages: u64,
}

impl Counted {
    /// Counts none yet.
    pub(crate) fn none(state: Arc<PipelineState>) -> Self {
        Self { state, messages: 0 }
    }

    /// Counts none yet, of the same pipeline.
    pub(crate) fn successor(&self) -> Self {
        Self::none(self.state.clone())
    }

    /// Counts one more.
    pub(crate) fn add_one(&mut self) {
        self.messages += 1;
        self.state.in_memory.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let in_memory = &self.state.in_memory;
        in_memory.fetch_sub(self.messages, Ordering::Relaxed);
    }
}

/// Whether there is a connection to NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// Not connected; tries are under way.
    Disconnected,
    /// Connected.
    Connected,
    /// Connected to a server that is about to shut down.
    LameDuck,
}

/// An error that the server or the client has reported.
#[derive(Debug)]
struct ReportedError {
    text: String,
    at: Instant,
}

/// The connection to NATS as the worker shows it.
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
    /// Returns whether it is there.
    pub fn connectivity(&self) -> Connectivity {
        self.state.lock().0
    }

    /// Returns the last error that the connection reported.
    pub fn last_error(&self) -> Option<String> {
        let state = self.state.lock();
        state.1.as_ref().map(|reported| reported.text.clone())
    }

    /// Returns the last error, if the connection reported it since then.
    pub(crate) fn error_since(&self, start: Instant) -> Option<String> {
        let state = self.state.lock();
        let last = state.1.as_ref().filter(|reported| reported.at >= start);
        last.map(|reported| reported.text.clone())
    }

    /// Returns the address of the server, when connected.
    pub fn server(&self) -> Option<String> {
        self.server.lock().clone()
    }

    /// Returns whether the very first try to connect is still under way.
    pub fn is_trying_first(&self) -> bool {
        let (connectivity, error) = &*self.state.lock();
        *connectivity == Connectivity::Disconnected
            && error.is_none()
            && self.connects.load(Ordering::Relaxed) == 0
    }

    /// Counts how often the connection was made again after its first time.
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
        // The sender lives in self, so waiting cannot fail.
        let _ = up.wait_for(|up| *up).await;
    }

    /// Returns once the connection is down, or was down for a moment.
    pub(crate) async fn disconnected(&self) {
        let before = self.connects.load(Ordering::Relaxed);
        let again = || self.connects.load(Ordering::Relaxed) != before;
        let mut up = self.changed.subscribe();
        let _ = up.wait_for(|up| !*up || again()).await;
    }
}

/// Formats a duration for a `detail` text.
pub(crate) fn seconds(delay: Duration) -> String {
    format!("{:.1} s", delay.as_secs_f64())
}
