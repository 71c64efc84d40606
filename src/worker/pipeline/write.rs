//! One turn of a pipeline: writes as many waiting batches as one transaction takes, counts them,
//! and returns their acknowledgements.

use super::Pipeline;
use super::context::{WriteContext, WriteOutcome, WriteResources, Written};
use super::position::position_of;
use super::selection::{self, MessageRange, SkippedRange};
use super::writer::{SAMPLE_SIZE, Writer};
use crate::catalog::dead_letter;
use crate::config::WriteConfig;
use crate::pg::failure::Failure;
use crate::pg::wal;
use crate::worker::breaker::Permission;
use nats::{Batch, Receipt, Tail};
use std::time::{Duration, Instant};

/// Messages that a pipeline may write while the breaker is half open.
const PROBE_MESSAGES: usize = 1;
/// Bytes of messages and rows after which a transaction takes no further batch: 8 MiB.
const MAX_BYTES: usize = 8 << 20;

/// The result of one turn of a pipeline.
#[derive(Debug, Default)]
pub struct WriteReport {
    /// Everything that was committed.
    pub written: Written,
    /// Messages that had been recorded before.
    pub duplicates: u64,
    /// Payload bytes of the batches that are completely recorded.
    pub bytes: u64,
    /// Publish time of the newest message in these batches.
    pub newest: Option<row::Timestamp>,
    /// Messages of the first transaction.
    pub tried: usize,
    /// Time that the turn took.
    pub took: Duration,
    /// Acknowledgements of these batches, to be sent once the commit is durable.
    pub receipts: Vec<Receipt>,
    /// The failure that ended the turn, if one did.
    pub failure: Option<Failure>,
}

impl Pipeline {
    /// Writes one transaction's worth of waiting batches. Returns `None` if no batch waits, or if
    /// nothing may be tried now.
    pub fn write_batch(
        &mut self,
        permission: Permission,
        resources: &mut WriteResources,
        config: &WriteConfig,
    ) -> Option<WriteReport> {
        let max_messages = match permission {
            Permission::Any => self.max_messages,
            Permission::Probe => self.max_messages.min(PROBE_MESSAGES),
            Permission::Wait(_) => return None,
        };
        self.gather(max_messages);
        if self.waiting.is_empty() {
            self.probe_destination(config);
            return None;
        }
        let started = Instant::now();
        let mut report = match self.waiting.front().and_then(Batch::tail) {
            Some(tail) => self.record_tail(tail, resources, config),
            None => self.write(max_messages, resources, config),
        };
        report.took = started.elapsed();
        self.apply_result(&report, config);
        Some(report)
    }

    /// Returns the acknowledgements of messages that are not written yet. Only a test build uses
    /// them: a message that is acknowledged now is lost if it is not written.
    pub fn premature_receipts(&mut self) -> Vec<Receipt> {
        self.gather_all();
        let messages = self.waiting.iter().flat_map(|batch| &batch.messages);
        let receipts = messages.map(|message| Receipt::Reply(message.reply.clone()));
        receipts.collect()
    }

    /// Takes batches until a transaction is full. Batches that cannot be written must not occupy
    /// more memory with each attempt, so few messages are taken if they are large, but enough to
    /// tell a bad row from a bad table.
    fn gather(&mut self, max_messages: usize) {
        let enough = MAX_BYTES.min(self.subscription.own_memory());
        let sum = |count: fn(&Batch) -> usize| self.waiting.iter().map(count).sum::<usize>();
        let (mut rows, mut messages) = (sum(Batch::weight), sum(Batch::len));
        let mut bytes = sum(Batch::bytes);
        while rows < max_messages && (bytes < enough || messages <= SAMPLE_SIZE) {
            let Some(batch) = self.subscription.next_batch() else {
                return;
            };
            rows += batch.weight();
            messages += batch.len();
            bytes += batch.bytes();
            self.waiting.push_back(batch);
        }
    }

    /// Takes all batches that are ready.
    pub(super) fn gather_all(&mut self) {
        while let Some(batch) = self.subscription.next_batch() {
            self.waiting.push_back(batch);
        }
    }

    /// Records a range for which the stream holds no message of this pipeline.
    fn record_tail(
        &mut self,
        tail: Tail,
        resources: &mut WriteResources,
        config: &WriteConfig,
    ) -> WriteReport {
        let Some(stream_id) = self.waiting.front().map(|batch| batch.stream_id.clone()) else {
            return WriteReport::default();
        };
        let whole_stream = self.waiting.front().is_some_and(|b| b.whole_stream);
        let skipped = SkippedRange {
            first: tail.first,
            last: tail.last,
            whole_stream,
        };
        let mut context = WriteContext {
            stream_id: &stream_id,
            position: position_of(&mut self.positions, &stream_id),
            resources,
            timeout: config.insert_timeout,
        };
        let recorded = self
            .writer
            .record_skipped(&[skipped], tail.newest, &mut context);
        let failure = recorded.err();
        if failure.is_none() {
            self.waiting.pop_front();
        }
        WriteReport {
            failure,
            ..WriteReport::default()
        }
    }

    /// Writes the messages of the oldest batches that are not recorded, and drops the batches that
    /// are recorded completely.
    fn write(
        &mut self,
        max_messages: usize,
        resources: &mut WriteResources,
        config: &WriteConfig,
    ) -> WriteReport {
        let Some(stream_id) = self.waiting.front().map(|batch| batch.stream_id.clone()) else {
            return WriteReport::default();
        };
        let taken = selection::batches_of(&stream_id, &self.waiting, max_messages);
        let mut context = WriteContext {
            stream_id: &stream_id,
            position: position_of(&mut self.positions, &stream_id),
            resources,
            timeout: config.insert_timeout,
        };
        let batches = || self.waiting.iter().take(taken);
        // The range between two deliveries is recorded even if the later message was recorded
        // before. Otherwise a range that ends there without a new message would remain unrecorded
        // for ever.
        let skipped = selection::skipped_before_recorded(batches(), context.position);
        if !skipped.is_empty()
            && let Err(failure) = self.writer.record_skipped(&skipped, None, &mut context)
        {
            return WriteReport {
                failure: Some(failure),
                ..WriteReport::default()
            };
        }
        let fresh = selection::unrecorded(batches(), &mut context.position.clone());
        let (tried, outcome) =
            write_fresh(&mut self.writer, fresh.clone(), max_messages, &mut context);
        let committed: Vec<usize> = batches()
            .map(|batch| selection::committed(&fresh, batch, context.position))
            .collect();
        let recorded = |batch: &&Batch| batch.is_recorded(context.position);
        let done = batches().take_while(recorded).count();
        for (batch, committed) in self.waiting.iter_mut().zip(committed) {
            batch.add_committed(committed);
        }
        WriteReport {
            written: outcome.written,
            tried,
            failure: outcome.failure,
            ..self.finish(done)
        }
    }

    /// Drops the first `count` batches, all of whose messages are recorded, and returns the report
    /// about them.
    fn finish(&mut self, count: usize) -> WriteReport {
        let mut done: Vec<Batch> = self.waiting.drain(..count).collect();
        let report = WriteReport {
            duplicates: done.iter().map(|batch| batch.duplicates() as u64).sum(),
            bytes: done.iter().map(|batch| batch.payload_bytes() as u64).sum(),
            newest: done.iter().filter_map(Batch::last_published).max(),
            receipts: nats::receipts_for(&mut done),
            ..WriteReport::default()
        };
        done.into_iter()
            .for_each(|batch| self.subscription.discard(batch));
        report
    }
}

/// Writes the first of the messages that are not recorded yet, suspects one by one. Returns the
/// number of messages in the first transaction, and the outcome.
fn write_fresh(
    writer: &mut Writer,
    ranges: Vec<MessageRange<'_>>,
    max_messages: usize,
    context: &mut WriteContext<'_>,
) -> (usize, WriteOutcome) {
    let journal = &context.resources.crash_journal;
    let Some(suspects) = journal.suspects(writer.pipeline()).cloned() else {
        let ranges = selection::take(ranges, max_messages);
        let tried = selection::count(&ranges);
        return (tried, writer.write(ranges, context));
    };
    let stream_id = context.stream_id;
    let messages = || ranges.iter().flat_map(MessageRange::iter);
    let first = messages().next().map_or(0, |first| first.sequence);
    let most = suspects
        .max_messages(stream_id, messages())
        .min(max_messages);
    let ranges = selection::take(ranges, most);
    let tried = selection::count(&ranges);
    let outcome = match suspects.is_poison(stream_id, first) {
        true => writer
            .write_dead_letter(&ranges, &dead_letter::crashing(), context)
            .into(),
        false => writer.write(ranges, context),
    };
    if suspects.contains(stream_id, first) {
        // The next suspect may crash the process, and what is committed now has to survive that.
        wal::flush(wal::last_commit());
    }
    if suspects.is_cleared_by(stream_id, context.position) {
        context.resources.crash_journal.clear(writer.pipeline());
    }
    (tried, outcome)
}
