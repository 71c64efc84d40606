//! The batch that is being filled: when it may be handed over, and when it must not grow any more. It
//! knows no server and waits for nothing.

use crate::batch::Batch;
use crate::settings::Pipeline;
use std::time::Duration;
use tokio::time::Instant;

/// How long a batch under backlog may wait for more messages than it needs …
const GROW_FOR: Duration = Duration::from_millis(50);
/// … and how many come between two looks at the clock.
const LOOK_EVERY: usize = 64;
/// A batch does not grow beyond this size, even when it has few messages.
const BYTES: usize = 8 << 20;

/// A batch with room.
pub(crate) struct Open {
    pub(crate) batch: Batch,
    /// When it got its first message.
    since: Option<Instant>,
    /// It may be handed over.
    ripe: bool,
}

impl Open {
    pub(crate) fn new(batch: Batch) -> Self {
        Self {
            batch,
            since: None,
            ripe: false,
        }
    }

    /// After a message. `backlog` says how many more wait on the server; `hold` that it is too early to
    /// hand the batch over.
    pub(crate) fn pushed(&mut self, pipeline: &Pipeline, backlog: u64, hold: bool) {
        let since = *self.since.get_or_insert_with(Instant::now);
        let enough = self.batch.len() >= pipeline.batch_size;
        let more = hold || self.grows(pipeline, backlog, since);
        self.ripe |= self.is_full(pipeline) || enough && !more;
    }

    /// Large transactions cost less for each row, so under backlog a batch waits a moment for the rows
    /// that are about to come.
    fn grows(&self, pipeline: &Pipeline, backlog: u64, since: Instant) -> bool {
        let looks_at_clock = self.batch.len().is_multiple_of(LOOK_EVERY);
        backlog > pipeline.max_batch_rows as u64 && (!looks_at_clock || since.elapsed() < GROW_FOR)
    }

    /// Whether it is a whole transaction.
    pub(crate) fn is_full(&self, pipeline: &Pipeline) -> bool {
        self.batch.weight() >= pipeline.max_batch_rows
            || self.batch.payload_bytes() + self.batch.rows().size() >= BYTES
    }

    /// When its oldest message has waited for long enough; `None` without a message.
    pub(crate) fn due(&self, pipeline: &Pipeline) -> Option<Instant> {
        self.since.map(|since| since + pipeline.batch_timeout)
    }

    /// Its oldest message has waited for long enough.
    pub(crate) fn ripen(&mut self) {
        self.ripe = true;
    }

    /// Whether it may be handed over.
    pub(crate) fn is_ripe(&self) -> bool {
        self.ripe
    }

    /// Takes the batch, and begins the next one.
    pub(crate) fn take(&mut self) -> Batch {
        let next = self.batch.successor();
        std::mem::replace(self, Self::new(next)).batch
    }
}
