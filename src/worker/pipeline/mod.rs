//! One pipeline on the main thread: its subscription, waiting batches and positions. [`position`]
//! tells a new session where to begin, [`readiness`] decides when the pipeline may write, and
//! [`write`](mod@write) writes.

mod context;
mod destinations;
mod failure_cause;
mod position;
mod readiness;
mod selection;
mod write;
mod writer;

pub use context::WriteResources;
pub use destinations::configured_table;
pub use readiness::{Blocked, Readiness};
pub use write::WriteReport;

use crate::catalog::position::Positions;
use crate::config::{PipelineConfig, WriteConfig};
use crate::status::Slot;
use nats::{Backoff, Batch, Sequences, StreamId, Subscription};
use std::collections::VecDeque;
use std::time::Instant;
use writer::Writer;

/// One pipeline, as the main thread sees it.
pub struct Pipeline {
    /// Slot of its status in shared memory.
    pub slot: Slot,
    /// Its settings.
    pub config: PipelineConfig,
    /// Its end in NATS: batches come out of it, requests go into it.
    pub subscription: Subscription,
    /// Writes its batches to the database.
    pub writer: Writer,
    /// Reason why it does not write at the moment, if there is one.
    pub blocked: Option<Blocked>,
    /// Batches taken from the subscription and not recorded completely yet, oldest first.
    waiting: VecDeque<Batch>,
    /// Committed position in each of its latest streams; the last entry is the current stream.
    positions: Positions,
    /// True once the session was made to ask for its position because of a requested seek.
    restarted_for_seek: bool,
    /// Delay before the next attempt after a failure.
    backoff: Backoff,
    /// Time of the next attempt, if one is planned.
    try_at: Option<Instant>,
    /// Most messages or rows of a transaction: doubled after a success, halved after a timeout or
    /// another failure that a smaller transaction may avoid.
    max_messages: usize,
}

impl Pipeline {
    /// Creates a pipeline that has fetched nothing yet.
    pub fn new(
        slot: Slot,
        config: PipelineConfig,
        subscription: Subscription,
        write: &WriteConfig,
        positions: Positions,
    ) -> Self {
        Self {
            slot,
            subscription,
            writer: Writer::new(&config),
            config,
            blocked: None,
            waiting: VecDeque::new(),
            positions,
            restarted_for_seek: false,
            backoff: Backoff::new(write.retry_min, write.retry_max),
            try_at: None,
            max_messages: write.max_batch_rows,
        }
    }

    /// Returns the pipeline's name and positions, for a successor that continues from them.
    pub fn into_positions(self) -> (String, Positions) {
        (self.config.nats.name, self.positions)
    }

    /// Returns the current stream and the sequences recorded of it.
    pub fn position(&self) -> Option<(&StreamId, &Sequences)> {
        self.positions
            .last()
            .map(|(stream_id, position)| (stream_id.as_ref(), position))
    }

    /// Pauses or resumes the pipeline. Fetched messages are dropped; the stream still has them.
    pub fn pause(&mut self, paused: bool) {
        if paused == (self.blocked == Some(Blocked::Paused)) {
            return;
        }
        self.waiting.clear();
        self.blocked = paused.then_some(Blocked::Paused);
        self.try_at = None;
        // A session that starts now asks for its position anyway.
        self.restarted_for_seek = true;
        match paused {
            true => self.stop_fetching(),
            false => self.subscription.start(),
        }
    }

    /// Stops fetching, and frees the memory of fetched messages for other pipelines.
    fn stop_fetching(&mut self) {
        self.waiting.clear();
        self.subscription.stop();
    }

    /// Makes the session ask for its position, once for each seek that an operator requests.
    /// Normally the pipeline is paused meanwhile and asks when it resumes; this is for a pause that
    /// was over before the worker noticed it.
    pub fn seek(&mut self, wanted: bool) {
        // A session that is not fetching asks for its position when it starts.
        if wanted && !self.restarted_for_seek && self.subscription.is_started() {
            self.waiting.clear();
            self.subscription.start();
        }
        self.restarted_for_seek = wanted;
    }
}
