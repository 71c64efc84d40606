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
pub(crate) struct BatchAccumulator {
    pub(crate) batch: Batch,
    /// When it got its first message.
    since: Option<Instant>,
    /// Messages that waited on the server after its last one.
    backlog: u64,
    /// It is the rest of a backlog, of which a larger batch came before.
    rest: bool,
    /// It may be handed over.
    ripe: bool,
}

impl BatchAccumulator {
    pub(crate) fn new(batch: Batch) -> Self {
        Self {
            batch,
            since: None,
            backlog: 0,
            rest: false,
            ripe: false,
        }
    }

    /// After a message. `backlog` says how many more wait on the server; `hold` that it is too early to
    /// hand the batch over.
    pub(crate) fn pushed(&mut self, pipeline: &Pipeline, backlog: u64, hold: bool) {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.backlog = backlog;
        // The rest of a backlog waits for nothing once it is complete.
        let enough = self.batch.len() >= pipeline.batch_size || self.rest && backlog == 0;
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
        self.batch.weight() >= pipeline.max_batch_rows || self.batch.size() >= BYTES
    }

    /// When its oldest message has waited for long enough; `None` without a message.
    pub(crate) fn due(&self, pipeline: &Pipeline) -> Option<Instant> {
        self.since.map(|since| since + pipeline.batch_timeout)
    }

    /// Its oldest message has waited for long enough.
    pub(crate) fn mark_ready(&mut self) {
        self.ripe = true;
    }

    /// Whether it may be handed over.
    pub(crate) fn is_ready(&self) -> bool {
        self.ripe
    }

    /// Takes the batch, and begins the next one.
    pub(crate) fn take(&mut self, pipeline: &Pipeline) -> Batch {
        let next = Self {
            rest: self.backlog > 0 && self.batch.len() > pipeline.batch_size,
            ..Self::new(self.batch.successor())
        };
        std::mem::replace(self, next).batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Acks, Message, Source};
    use crate::budget::Budget;
    use row::Timestamp;
    use std::sync::Arc;

    const NO_BACKLOG: u64 = 0;
    const BACKLOG: u64 = 1_000;

    fn pipeline() -> Pipeline {
        Pipeline {
            name: "telemetry".to_owned(),
            format: decode::format("Telemetry").unwrap(),
            stream: None,
            subjects: vec!["telemetry.>".to_owned()],
            batch_size: 10,
            batch_timeout: Duration::from_secs(1),
            max_batch_rows: 100,
            max_rate: 0,
            max_age: None,
            max_future: None,
        }
    }

    fn message(sequence: u64) -> Message {
        Message {
            sequence,
            covers: sequence,
            delivered: 1,
            published: Timestamp::default(),
            subject: "telemetry.a".into(),
            headers: None,
            payload: "{}".into(),
            reply: "reply".into(),
            reject: None,
        }
    }

    /// A batch with so many messages, and whether it was ripe after each of them.
    fn filled(messages: u64, backlog: u64, hold: bool) -> (BatchAccumulator, Vec<bool>) {
        let source = Source {
            stream: "S".to_owned(),
            created: Timestamp::default(),
        };
        let pipeline = pipeline();
        let batch = Batch::new(
            Arc::new(source),
            Acks::Nothing,
            true,
            pipeline.format,
            Arc::default(),
        );
        let mut open = BatchAccumulator::new(batch);
        let budget = Budget::new(1_000, 1).of_pipeline(0);
        let mut ripe = Vec::new();
        for sequence in 1..=messages {
            open.batch
                .push(message(sequence), 2, budget.try_take(1).unwrap());
            open.pushed(&pipeline, backlog, hold);
            ripe.push(open.is_ready());
        }
        (open, ripe)
    }

    #[test]
    fn without_backlog_it_is_ripe_when_it_has_enough_messages() {
        let (_, ripe) = filled(12, NO_BACKLOG, false);
        assert_eq!(ripe.iter().position(|&ripe| ripe), Some(9));
    }

    #[test]
    fn under_backlog_or_on_hold_it_becomes_a_whole_transaction() {
        for (backlog, hold) in [(BACKLOG, false), (NO_BACKLOG, true)] {
            let (open, ripe) = filled(100, backlog, hold);
            assert_eq!(ripe.iter().position(|&ripe| ripe), Some(99));
            assert!(open.is_full(&pipeline()));
        }
    }

    #[test]
    fn the_rest_of_a_backlog_is_ripe_when_it_is_complete() {
        let (mut open, _) = filled(100, BACKLOG, false);
        open.take(&pipeline());
        let budget = Budget::new(1_000, 1).of_pipeline(0);
        for (backlog, ripe) in [(1, false), (0, true)] {
            let share = budget.try_take(1).unwrap();
            open.batch.push(message(100), 2, share);
            open.pushed(&pipeline(), backlog, false);
            assert_eq!(open.is_ready(), ripe);
        }
        open.take(&pipeline());
        open.batch
            .push(message(102), 2, budget.try_take(1).unwrap());
        open.pushed(&pipeline(), 0, false);
        assert!(
            !open.is_ready(),
            "after the backlog messages are collected again"
        );
    }

    #[test]
    fn its_oldest_message_says_when_it_is_due() {
        let before = Instant::now();
        let (mut open, _) = filled(2, NO_BACKLOG, false);
        let due = open.due(&pipeline()).unwrap();
        assert!(
            due >= before + pipeline().batch_timeout
                && due <= Instant::now() + pipeline().batch_timeout
        );
        open.mark_ready();
        assert_eq!(open.take(&pipeline()).len(), 2);
        assert!(open.batch.is_empty() && !open.is_ready() && open.due(&pipeline()).is_none());
    }
}
