//! State of the connection that the status shows. The NATS thread writes it, the main thread reads
//! it, and a session can wait for the connection.

use super::refusals::{Refusal, Refusals};
use super::server_error::printable;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Whether there is a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// Not connected; attempts are being made.
    Disconnected,
    /// Connected.
    Connected,
    /// Connected to a server that is about to shut down.
    LameDuck,
}

/// A connection may be lost for this long before the status shows it.
pub(crate) const LOSS_SHOWN_AFTER: Duration = Duration::from_secs(1);

/// The reason why there is no connection, in the parts of a message of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What an operator can do about it.
    pub hint: Option<String>,
}

/// An error that the server or the client reported, with the time of the report.
#[derive(Debug)]
struct ReportedError {
    text: String,
    hint: Option<String>,
    at: Instant,
}

/// The connection to NATS, as the status shows it.
#[derive(Debug)]
pub struct Connection {
    state: Mutex<State>,
    connects: AtomicU64,
    up: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    connectivity: Connectivity,
    /// Host and port of the server, while connected.
    server: Option<String>,
    /// When the last connection was lost.
    lost: Option<Instant>,
    /// Why the last attempt to connect failed; `None` after a success.
    problem: Option<Problem>,
    last_error: Option<ReportedError>,
    /// Permissions that the server has refused on this connection.
    refusals: Refusals,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                connectivity: Connectivity::Disconnected,
                server: None,
                lost: None,
                problem: None,
                last_error: None,
                refusals: Refusals::default(),
            }),
            connects: AtomicU64::new(0),
            up: watch::Sender::new(false),
        }
    }
}

impl Connection {
    /// Returns whether the connection is up.
    pub fn connectivity(&self) -> Connectivity {
        self.state.lock().connectivity
    }

    /// Returns the reason why there is no connection, once an attempt has failed.
    pub fn problem(&self) -> Option<Problem> {
        self.state.lock().problem.clone()
    }

    /// Returns the last error that was reported on the connection.
    pub fn last_error(&self) -> Option<String> {
        let state = self.state.lock();
        state.last_error.as_ref().map(|error| error.text.clone())
    }

    /// Returns what to do about the last error, if that is known.
    pub fn last_hint(&self) -> Option<String> {
        let state = self.state.lock();
        state
            .last_error
            .as_ref()
            .and_then(|error| error.hint.clone())
    }

    /// Returns the permissions that the server has refused on this connection, each once.
    pub fn new_refusals(&self) -> Vec<Refusal> {
        self.state.lock().refusals.take_new()
    }

    /// Returns what the server has reported at `start` or later, as far as it may concern the
    /// pipeline with this consumer.
    pub(crate) fn error_since(&self, start: Instant, consumer: &str) -> Option<String> {
        let state = self.state.lock();
        if let Some(refusal) = state.refusals.since(start, consumer) {
            return Some(refusal.message.clone());
        }
        // What another pipeline may not do has a hint.
        let last = state.last_error.as_ref();
        let last = last.filter(|error| error.at >= start && error.hint.is_none());
        last.map(|error| error.text.clone())
    }

    /// Returns what the server said when it refused acknowledgements of this consumer.
    pub(crate) fn refused_acks_of(&self, consumer: &str) -> Option<String> {
        self.state.lock().refusals.of_acks(consumer)
    }

    /// Records that the server has accepted an acknowledgement of this consumer.
    pub(crate) fn accepts_acks_of(&self, consumer: &str) {
        self.state.lock().refusals.forget_acks_of(consumer);
    }

    /// Returns host and port of the server while connected.
    pub fn server(&self) -> Option<String> {
        self.state.lock().server.clone()
    }

    /// Returns whether the very first attempt to connect is still being made.
    pub fn is_trying_first(&self) -> bool {
        let state = self.state.lock();
        state.connectivity == Connectivity::Disconnected
            && state.problem.is_none()
            && self.connects.load(Ordering::Relaxed) == 0
    }

    /// Returns whether the connection was lost just now, so that it may be back at once.
    pub fn is_interrupted(&self) -> bool {
        let state = self.state.lock();
        let lost = state
            .lost
            .filter(|_| state.connectivity == Connectivity::Disconnected);
        state.problem.is_none() && lost.is_some_and(|at| at.elapsed() < LOSS_SHOWN_AFTER)
    }

    /// Returns how often the connection was restored.
    pub fn reconnects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Records that a connection to `server` (host and port) was established.
    pub(super) fn set_connected(&self, server: String) {
        self.connects.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.connectivity = Connectivity::Connected;
        state.server = Some(server);
        state.problem = None;
        state.refusals = Refusals::default();
        if let Some(error) = &mut state.last_error {
            error.hint = None;
        }
        drop(state);
        self.up.send_replace(true);
    }

    /// Records that the server is about to shut down.
    pub(super) fn set_lame_duck(&self) {
        self.state.lock().connectivity = Connectivity::LameDuck;
    }

    /// Records that the connection was lost.
    pub(super) fn set_disconnected(&self) {
        let mut state = self.state.lock();
        if state.connectivity != Connectivity::Disconnected {
            state.lost = Some(Instant::now());
        }
        state.connectivity = Connectivity::Disconnected;
        state.server = None;
        drop(state);
        self.up.send_replace(false);
    }

    /// Records why an attempt to connect has failed.
    pub(super) fn set_problem(&self, problem: Problem) {
        let (text, hint) = (problem.message.clone(), problem.hint.clone());
        let at = Instant::now();
        let mut state = self.state.lock();
        state.last_error = Some(ReportedError { text, hint, at });
        state.problem = Some(problem);
    }

    /// Records an error that the server or the client reported. Inboxes begin with `inbox_prefix`.
    pub(super) fn set_error(&self, said: &str, inbox_prefix: &str) {
        let at = Instant::now();
        let said = printable(said);
        let mut state = self.state.lock();
        let refusal = state.refusals.record(&said, inbox_prefix);
        let (text, hint) = match refusal {
            Some(refusal) => (refusal.message.clone(), Some(refusal.hint.clone())),
            None => (said, None),
        };
        state.last_error = Some(ReportedError { text, hint, at });
    }

    /// Returns once the connection is up, however long that takes.
    pub(crate) async fn connected(&self) {
        let mut up = self.up.subscribe();
        // The sender lives in self, so the wait cannot fail.
        let _ = up.wait_for(|up| *up).await;
    }

    /// Returns once the connection is down, even if it was down only for a moment.
    pub(crate) async fn disconnected(&self) {
        let before = self.connects.load(Ordering::Relaxed);
        let again = || self.connects.load(Ordering::Relaxed) != before;
        let mut up = self.up.subscribe();
        let _ = up.wait_for(|up| !*up || again()).await;
    }
}
