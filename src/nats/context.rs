//! What a session and its fetch work with: settings, memory, and the ways to the main thread.

use crate::batch::Batch;
use crate::budget::PipelineBudget;
use crate::settings::{Pipeline, Settings};
use crate::state::{PhaseKind, PipelineState};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::mpsc;

/// Wakes the main thread.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

/// One pipeline as its own tasks see it.
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) pipeline: Arc<Pipeline>,
    /// Memory for its messages.
    pub(crate) budget: PipelineBudget,
    /// What the worker shows of it.
    pub(crate) state: Arc<PipelineState>,
    /// Takes batches to the main thread.
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) wake: Waker,
    /// Highest stream sequence that the newest session with a fetch has taken. The session after it
    /// knows by it which messages the client has read already.
    pub(crate) last_fetched: AtomicU64,
}

/// Waits for ever. The main thread takes nothing any more, because it has stopped the subscription
/// before it closed the channels: the session is dropped where it stands.
pub(crate) async fn until_dropped() -> Infallible {
    std::future::pending().await
}

impl Context {
    /// Hands a batch to the main thread, once there is room for it.
    pub(crate) async fn send(&self, batch: Batch) {
        if self.batches.send(batch).await.is_err() {
            until_dropped().await;
        }
        (self.wake)();
    }

    /// Shows what the pipeline does now.
    pub(crate) fn set_phase(&self, kind: PhaseKind, detail: impl Into<String>) {
        self.state.set_phase(kind, detail);
        (self.wake)();
    }

    /// Shows the steps of a new session, but not in place of an error or of fetching: an error
    /// stays shown until it is over, and a connection that was cut and is there again is nothing to
    /// be shown.
    pub(crate) fn set_phase_of_a_new_session(&self, kind: PhaseKind, detail: &str) {
        let shown = self.state.phase().kind;
        if !matches!(shown, PhaseKind::Waiting | PhaseKind::Fetching) {
            self.set_phase(kind, detail);
        }
    }
}
