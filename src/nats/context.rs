//! The resources of a session and its fetch: settings, memory, and the channels to the main thread.

use crate::batch::Batch;
use crate::budget::PipelineBudget;
use crate::settings::{PipelineSettings, Settings};
use crate::state::{PhaseKind, PipelineState};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::mpsc;

/// A function that wakes the main thread.
pub(crate) type WakeMainThread = Arc<dyn Fn() + Send + Sync>;

/// One pipeline, as its session and fetch see it.
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) pipeline: Arc<PipelineSettings>,
    /// The pipeline's part of the byte budget.
    pub(crate) budget: PipelineBudget,
    /// State that the status shows.
    pub(crate) state: Arc<PipelineState>,
    /// Sends batches to the main thread.
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) wake: WakeMainThread,
    /// Highest stream sequence that the last session that fetched has received. From it, the next
    /// session knows which messages the client was able to parse.
    pub(crate) last_fetched: AtomicU64,
}

/// Waits for ever. Call it when a channel to the main thread is closed: the main thread stops the
/// subscription before it closes the channels, so this session is about to be dropped.
pub(crate) async fn until_dropped() -> Infallible {
    std::future::pending().await
}

impl Context {
    /// Sends a batch to the main thread, as soon as there is room for it.
    pub(crate) async fn send(&self, batch: Batch) {
        if self.batches.send(batch).await.is_err() {
            until_dropped().await;
        }
        (self.wake)();
    }

    /// Sets the phase that the status shows.
    pub(crate) fn set_phase(&self, kind: PhaseKind, detail: impl Into<String>) {
        self.state.set_phase(kind, detail);
        (self.wake)();
    }

    /// Sets the phase of a session that begins, unless an error or fetching is shown. An error
    /// stays shown until it is over, and a connection that was restored at once is not worth
    /// showing.
    pub(crate) fn set_phase_of_a_new_session(&self, kind: PhaseKind, detail: &str) {
        let shown = self.state.phase().kind;
        if !matches!(shown, PhaseKind::Waiting | PhaseKind::Fetching) {
            self.set_phase(kind, detail);
        }
    }
}
