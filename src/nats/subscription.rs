//! The main thread's end of one pipeline: it delivers batches and position requests, and starts and
//! stops the pipeline. Nothing here blocks.

use crate::batch::Batch;
use crate::budget::PipelineBudget;
use crate::context::Context;
use crate::resume::PositionRequest;
use crate::session::Session;
use crate::settings::PipelineSettings;
use crate::shared::Shared;
use crate::state::PipelineState;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{mpsc, watch};

/// Batches of one pipeline that may wait for the main thread. The next batch grows meanwhile, so
/// one is enough to keep the main thread busy. To fetch further ahead would make NATS keep a longer
/// record of unacknowledged deliveries, and the data would have left the CPU caches before it is
/// written.
const BATCHES_WAITING: usize = 1;
/// Position requests that may wait; a session sends one at a time.
const POSITION_REQUESTS_WAITING: usize = 1;

/// One pipeline as the main thread sees it. Dropping it stops the pipeline.
pub struct Subscription {
    shared: Arc<Shared>,
    pipeline: Arc<PipelineSettings>,
    budget: PipelineBudget,
    state: Arc<PipelineState>,
    batches: mpsc::Receiver<Batch>,
    position_requests: mpsc::Receiver<PositionRequest>,
    stop: watch::Sender<bool>,
}

impl Subscription {
    /// Creates a subscription that does not fetch yet.
    pub(crate) fn stopped(
        shared: Arc<Shared>,
        pipeline: PipelineSettings,
        budget: PipelineBudget,
    ) -> Self {
        Self {
            shared,
            pipeline: Arc::new(pipeline),
            budget,
            state: Arc::new(PipelineState::default()),
            batches: mpsc::channel(1).1,
            position_requests: mpsc::channel(1).1,
            stop: watch::channel(true).0,
        }
    }

    /// Starts fetching, or restarts it. Batches that were fetched and not taken are dropped.
    pub fn start(&mut self) {
        self.stop();
        let (stop, stopped) = watch::channel(false);
        let (batch_sender, batches) = mpsc::channel(BATCHES_WAITING);
        let (position_request_sender, position_requests) = mpsc::channel(POSITION_REQUESTS_WAITING);
        self.stop = stop;
        self.batches = batches;
        self.position_requests = position_requests;
        let context = Context {
            settings: self.shared.settings.clone(),
            pipeline: self.pipeline.clone(),
            budget: self.budget.clone(),
            state: self.state.clone(),
            batches: batch_sender,
            wake: self.shared.wake.clone(),
            last_fetched: AtomicU64::default(),
        };
        let session = Session {
            pipelines: self.shared.pipelines,
            context,
            connector: self.shared.connector.clone(),
            position_requests: position_request_sender,
            stop: stopped,
        };
        self.shared.spawn(session.run());
    }

    /// Stops fetching. Batches that were fetched and not taken are dropped; the server still has
    /// their messages.
    pub fn stop(&mut self) {
        self.stop.send_replace(true);
        self.batches = mpsc::channel(1).1;
        self.position_requests = mpsc::channel(1).1;
    }

    /// Returns whether it has been started and not stopped since.
    pub fn is_started(&self) -> bool {
        !*self.stop.borrow()
    }

    /// Returns the next batch, if one is ready.
    pub fn next_batch(&mut self) -> Option<Batch> {
        self.batches.try_recv().ok()
    }

    /// Returns whether a batch is ready.
    pub fn has_batch(&self) -> bool {
        !self.batches.is_empty()
    }

    /// Drops a batch on the NATS thread, which allocated it. This saves the main thread thousands
    /// of calls to free memory, and lets the next batch reuse that memory.
    pub fn discard(&self, batch: Batch) {
        self.shared.runtime.spawn(async move { drop(batch) });
    }

    /// Returns the session's request for the pipeline's position, if there is one.
    pub fn next_position_request(&mut self) -> Option<PositionRequest> {
        self.position_requests.try_recv().ok()
    }

    /// Returns the state of the pipeline on the NATS side.
    pub fn state(&self) -> &PipelineState {
        &self.state
    }

    /// Returns the bytes of the budget that are reserved for this pipeline alone.
    pub fn own_memory(&self) -> usize {
        self.budget.own_bytes()
    }
}
