//! One transaction of the writer: rows, dead letters, gaps and position are recorded together or
//! not at all.

use super::Writer;
use crate::catalog::dead_letter::{self, NewDeadLetter, Stage};
use crate::catalog::{gap, position};
use crate::destination::WriteMethod;
use crate::pg::failure::Failure;
use crate::pg::transaction;
use crate::worker::pipeline::context::{WriteContext, Written};
use crate::worker::pipeline::selection::{self, MessageRange, SkippedRange};
use nats::{DeadLetterMessage, FetchedMessage, MessageIdentity, Sequences, StreamId};

/// The input of one transaction.
#[derive(Clone, Copy)]
pub(super) struct TransactionInput<'s, 'b> {
    /// Messages to record.
    pub(super) ranges: &'s [MessageRange<'b>],
    /// One of these messages whose rows are not written, because it becomes a dead letter.
    pub(super) failed: Option<&'s FailedMessage<'s>>,
    /// Write method of each destination, for the rows of the other messages; INSERT where there is
    /// none.
    pub(super) methods: &'s [WriteMethod],
}

/// A message that becomes a dead letter, and the reason.
pub(super) struct FailedMessage<'a> {
    /// Sequence of the message.
    sequence: u64,
    /// The reason.
    failure: &'a Failure,
}

impl Writer {
    /// Writes an input that consists of one message, which becomes a dead letter.
    pub(super) fn commit_dead_letter(
        &mut self,
        input: &TransactionInput<'_, '_>,
        failure: &Failure,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        let Some(message) = input.ranges.iter().flat_map(MessageRange::iter).next() else {
            return Err(failure.clone());
        };
        let failed = FailedMessage {
            sequence: message.sequence,
            failure,
        };
        let input = TransactionInput {
            failed: Some(&failed),
            ..*input
        };
        self.commit(&input, context)
    }

    /// Writes an input in one transaction: rows, dead letters, gaps and position.
    pub(super) fn commit(
        &mut self,
        input: &TransactionInput<'_, '_>,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        let (stream_id, resources) = (context.stream_id, &mut *context.resources);
        let skipped = input.ranges.iter().flat_map(|range| {
            let before = |message| SkippedRange::before(message, range.batch);
            range.iter().map(before)
        });
        let gaps = selection::missing_ranges(skipped, context.position);
        let mut next = context.position.clone();
        for message in input.ranges.iter().flat_map(MessageRange::iter) {
            next.insert(message.accounts_from, message.sequence);
        }
        if let (None, Some(ends)) = (input.failed, selection::sequence_bounds(input.ranges)) {
            resources
                .crash_journal
                .begin(&self.pipeline, stream_id, ends);
        }
        let written = transaction::run(context.timeout, || {
            let rows = match input.failed {
                None => {
                    self.destinations
                        .write(input.ranges, input.methods, &mut resources.stdin)?
                }
                Some(_) => 0,
            };
            let dead_letters = self.save_dead_letters(stream_id, input.ranges, input.failed)?;
            let newest = input.ranges.iter().flat_map(MessageRange::iter);
            let newest = newest.max_by_key(|message| message.sequence);
            self.save_position(
                stream_id,
                &gaps,
                &next,
                newest.map(FetchedMessage::identity),
            )?;
            Ok(Written {
                messages: selection::count(input.ranges) as u64,
                rows,
                dead_letters,
            })
        });
        // Not reached after a panic, so that the journal shows it like any other crash.
        resources.crash_journal.end();
        let written = written?;
        *context.position = next;
        self.destinations.succeeded(input.methods);
        Ok(written)
    }

    /// Records ranges that hold no message for this pipeline. `newest`, if known, is the message
    /// with the last sequence of the last range.
    ///
    /// # Errors
    /// Those of the database; the position is unchanged then.
    pub fn record_skipped(
        &self,
        skipped: &[SkippedRange],
        newest: Option<MessageIdentity>,
        context: &mut WriteContext<'_>,
    ) -> Result<(), Failure> {
        let gaps = selection::missing_ranges(skipped.iter().copied(), context.position);
        let mut next = context.position.clone();
        for range in skipped {
            next.insert(range.first, range.last);
        }
        transaction::run(context.timeout, || {
            self.save_position(context.stream_id, &gaps, &next, newest)
        })?;
        *context.position = next;
        Ok(())
    }

    /// Saves the position, and records the gaps. Inside the transaction that records the messages
    /// or the skipped ranges.
    fn save_position(
        &self,
        stream_id: &StreamId,
        gaps: &[(u64, u64)],
        next: &Sequences,
        newest: Option<MessageIdentity>,
    ) -> Result<(), Failure> {
        gap::record_removed(&self.pipeline, stream_id, gaps)?;
        position::save(&self.pipeline, stream_id, next, newest)
    }

    /// Keeps the messages that could not be decoded, and the failed one, as dead letters. Returns
    /// what is to be published about them.
    fn save_dead_letters(
        &self,
        stream_id: &StreamId,
        ranges: &[MessageRange<'_>],
        failed: Option<&FailedMessage<'_>>,
    ) -> Result<Vec<DeadLetterMessage>, Failure> {
        let mut published = Vec::new();
        for message in ranges.iter().flat_map(MessageRange::iter) {
            let (stage, failure) = match (&message.reject, failed) {
                (Some(reject), _) => (Stage::Decode, dead_letter::undecodable(reject)),
                (None, Some(failed)) if failed.sequence == message.sequence => {
                    (Stage::Insert, failed.failure.clone())
                }
                _ => continue,
            };
            let dead_letter = NewDeadLetter {
                pipeline: &self.pipeline,
                processor: self.format.name(),
                stream: &stream_id.name,
                message,
                stage,
                failure: &failure,
            };
            dead_letter::insert(&dead_letter)?;
            published.push(dead_letter.to_message());
        }
        Ok(published)
    }
}
