//! One pipeline on the main thread: its end in NATS, batches that wait, and its positions. A
//! session is told where it begins in [`position`], [`readiness`] says when there is something to
//! do, and [`write`](mod@write) does it.

mod context;
mod destinations;
mod position;
mod readiness;
mod selection;
mod trust;
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

/// One pipeline.
pub struct Pipeline {
    /// Its place in shared memory.
    pub slot: Slot,
    /// Its settings.
    pub config: PipelineConfig,
    /// Its end in NATS.
    pub subscription: Subscription,
    /// Its way into the database.
    pub writer: Writer,
    /// Why it writes nothing, if so.
    pub blocked: Option<Blocked>,
    waiting: VecDeque<Batch>,
    /// Committed positions; the last one is that of the current stream.
    positions: Positions,
    /// The session was told that its position will be another one.
    seeking: bool,
    backoff: Backoff,
    try_at: Option<Instant>,
    /// Messages that a transaction may hold; shrinks after a time-out, grows with success.
    max_messages: usize,
}

impl Pipeline {
    /// A pipeline that has fetched nothing.
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
            seeking: false,
            backoff: Backoff::new(write.retry_min, write.retry_max),
            try_at: None,
            max_messages: write.max_batch_rows,
        }
    }

    /// What is to be remembered when this pipeline ends.
    pub fn into_positions(self) -> (String, Positions) {
        (self.config.nats.name, self.positions)
    }

    /// The current stream and how far it is recorded.
    pub fn position(&self) -> Option<(&StreamId, &Sequences)> {
        self.positions
            .last()
            .map(|(stream_id, position)| (stream_id.as_ref(), position))
    }

    /// Stops or resumes on an operator's word. What was fetched is dropped; the server keeps it.
    pub fn pause(&mut self, paused: bool) {
        if paused == (self.blocked == Some(Blocked::Paused)) {
            return;
        }
        self.waiting.clear();
        self.blocked = paused.then_some(Blocked::Paused);
        self.try_at = None;
        // A session that starts now asks for its position anyway.
        self.seeking = true;
        match paused {
            true => self.stop_fetching(),
            false => self.subscription.start(),
        }
    }

    /// Nothing is fetched any more, and what was takes no memory from other pipelines.
    fn stop_fetching(&mut self) {
        self.waiting.clear();
        self.subscription.stop();
    }

    /// Lets the session ask for its position once when an operator wants another one. Usually a
    /// paused session is started anyway; this is for a pause that was over before it was seen.
    pub fn seek(&mut self, wanted: bool) {
        // One that does not fetch now asks for its position when it starts.
        if wanted && !self.seeking && self.subscription.is_started() {
            self.waiting.clear();
            self.subscription.start();
        }
        self.seeking = wanted;
    }
}
