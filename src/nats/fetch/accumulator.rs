//! The open batch: decides when it is ready to be handed over, and when it is full. It makes no
//! requests and never waits.

use crate::batch::Batch;
use crate::settings::PipelineSettings;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time that a batch waits for more messages than it needs, while there is a backlog.
const GROW_FOR: Duration = Duration::from_millis(50);
/// Messages between two checks of the clock meanwhile.
const CLOCK_CHECK_EVERY: usize = 64;
/// Bytes at which a batch is full even if it has few messages.
const MAX_BYTES: usize = 8 << 20;

/// The moment at which a batch that has enough messages may be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// At once.
    WhenReady,
    /// When it is full, its oldest message has waited for `batch_timeout`, or the reason to hold it
    /// back has passed.
    Later,
}

/// The open batch, which takes further messages.
pub(crate) struct BatchAccumulator {
    pub(crate) batch: Batch,
    /// When it got its first message; `None` without a message.
    first_message_at: Option<Instant>,
    /// Messages that were still on the server after its last message.
    backlog: u64,
    /// It follows a batch that was larger than `batch_size` and left a backlog, so it holds the
    /// rest.
    is_rest_of_backlog: bool,
    /// It has enough messages, and waits only because of [`Release::Later`].
    held_back: bool,
    /// The batch may be handed over.
    ready: bool,
}

impl BatchAccumulator {
    pub(crate) fn new(batch: Batch) -> Self {
        Self {
            batch,
            first_message_at: None,
            backlog: 0,
            is_rest_of_backlog: false,
            held_back: false,
            ready: false,
        }
    }

    /// Decides after each message whether the batch is ready; `backlog` is the number of messages
    /// that are still on the server.
    pub(crate) fn pushed(&mut self, pipeline: &PipelineSettings, backlog: u64, release: Release) {
        let first_message_at = *self.first_message_at.get_or_insert_with(Instant::now);
        self.backlog = backlog;
        // The rest of a backlog is ready as soon as it is complete.
        let enough =
            self.batch.len() >= pipeline.batch_size || self.is_rest_of_backlog && backlog == 0;
        let complete = enough && !self.grows(pipeline, backlog, first_message_at);
        self.held_back = complete && release == Release::Later;
        self.ready |= self.is_full(pipeline) || complete && release == Release::WhenReady;
    }

    /// Returns whether to wait for more messages. Large transactions cost less for each row, so
    /// while there is a backlog a batch waits a moment for the rows that are about to come.
    fn grows(&self, pipeline: &PipelineSettings, backlog: u64, first_message_at: Instant) -> bool {
        let looks_at_clock = self.batch.len().is_multiple_of(CLOCK_CHECK_EVERY);
        backlog > pipeline.max_batch_rows as u64
            && (!looks_at_clock || first_message_at.elapsed() < GROW_FOR)
    }

    /// Returns whether it fills a transaction.
    pub(crate) fn is_full(&self, pipeline: &PipelineSettings) -> bool {
        self.batch.weight() >= pipeline.max_batch_rows || self.batch.bytes() >= MAX_BYTES
    }

    /// Returns when its oldest message will have waited for `batch_timeout`; `None` without a
    /// message.
    pub(crate) fn due(&self, pipeline: &PipelineSettings) -> Option<Instant> {
        self.first_message_at.map(|at| at + pipeline.batch_timeout)
    }

    /// Returns whether it has enough messages, and waits only because of [`Release::Later`].
    pub(crate) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// Marks it ready, because it has waited long enough.
    pub(crate) fn mark_ready(&mut self) {
        self.ready = true;
    }

    /// Returns whether it may be handed over.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Takes the batch, and begins an empty one.
    pub(crate) fn take(&mut self, pipeline: &PipelineSettings) -> Batch {
        let next = Self {
            is_rest_of_backlog: self.backlog > 0 && self.batch.len() > pipeline.batch_size,
            ..Self::new(self.batch.successor())
        };
        std::mem::replace(self, next).batch
    }
}

#[cfg(test)]
mod tests {
    use super::Release::{Later, WhenReady};
    use super::*;
    use crate::batch::AckMode;
    use crate::budget::Budget;
    use crate::testing::{self, message};
    use std::sync::Arc;

    const NO_BACKLOG: u64 = 0;
    const BACKLOG: u64 = 1_000;

    fn pipeline() -> PipelineSettings {
        testing::pipeline(10, 100)
    }

    /// Creates a batch with this number of messages, and returns whether it was ready after each of
    /// them.
    fn filled(messages: u64, backlog: u64, release: Release) -> (BatchAccumulator, Vec<bool>) {
        let pipeline = pipeline();
        let batch = Batch::new(
            Arc::new(testing::stream_id()),
            AckMode::None,
            true,
            &pipeline.format,
            Arc::default(),
        );
        let mut open = BatchAccumulator::new(batch);
        let budget = Budget::new(1_000, 1).of_next_pipeline();
        let mut ready = Vec::new();
        for sequence in 1..=messages {
            open.batch
                .push(message(sequence), 2, budget.try_reserve(1).unwrap());
            open.pushed(&pipeline, backlog, release);
            ready.push(open.is_ready());
        }
        (open, ready)
    }

    #[tokio::test(start_paused = true)]
    async fn without_backlog_it_is_ready_when_it_has_enough_messages() {
        let (_, ready) = filled(12, NO_BACKLOG, WhenReady);
        assert_eq!(ready.iter().position(|&ready| ready), Some(9));
    }

    #[tokio::test(start_paused = true)]
    async fn under_backlog_or_when_it_may_only_go_later_it_becomes_a_whole_transaction() {
        for (backlog, release) in [(BACKLOG, WhenReady), (NO_BACKLOG, Later)] {
            let (open, ready) = filled(100, backlog, release);
            assert_eq!(ready.iter().position(|&ready| ready), Some(99));
            assert!(open.is_full(&pipeline()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_backlog_is_ready_when_it_is_complete() {
        let (mut open, _) = filled(100, BACKLOG, WhenReady);
        open.take(&pipeline());
        let budget = Budget::new(1_000, 1).of_next_pipeline();
        for (backlog, ready) in [(1, false), (0, true)] {
            let reservation = budget.try_reserve(1).unwrap();
            open.batch.push(message(100), 2, reservation);
            open.pushed(&pipeline(), backlog, WhenReady);
            assert_eq!(open.is_ready(), ready);
        }
        open.take(&pipeline());
        open.batch
            .push(message(102), 2, budget.try_reserve(1).unwrap());
        open.pushed(&pipeline(), 0, WhenReady);
        assert!(
            !open.is_ready(),
            "after the backlog messages are collected again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn its_oldest_message_says_when_it_is_due() {
        let start = Instant::now();
        let (mut open, _) = filled(2, NO_BACKLOG, WhenReady);
        let due = open.due(&pipeline()).unwrap();
        assert_eq!(due, start + pipeline().batch_timeout);
        open.mark_ready();
        assert_eq!(open.take(&pipeline()).len(), 2);
        assert!(open.batch.is_empty() && !open.is_ready() && open.due(&pipeline()).is_none());
    }
}
