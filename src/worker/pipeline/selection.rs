//! Selects the messages of one transaction: ranges of batches that can be halved without copying
//! anything. Pure: the writer decides what to do with them.

use nats::{Batch, FetchedMessage, Sequences, StreamId};
use row::RowSlices;
use std::ops::Range;
use std::sync::Arc;

/// Consecutive messages of one batch.
#[derive(Clone, Debug)]
pub struct MessageRange<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// Indices of the messages in the batch.
    pub messages: Range<usize>,
}

impl<'a> MessageRange<'a> {
    /// Iterates over the messages.
    pub fn iter(&self) -> impl Iterator<Item = &'a FetchedMessage> + use<'a> {
        self.batch
            .messages
            .get(self.messages.clone())
            .unwrap_or_default()
            .iter()
    }
}

/// Sequences that deliveries have skipped: the stream holds no message there for this pipeline any
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedRange {
    /// The first skipped sequence.
    pub first: u64,
    /// The last skipped sequence.
    pub last: u64,
    /// True if the pipeline reads all subjects of the stream, so that messages with these sequences
    /// have existed.
    pub whole_stream: bool,
}

impl SkippedRange {
    /// Returns the range between a message and the one delivered before it, which may be empty.
    pub fn before(message: &FetchedMessage, batch: &Batch) -> Self {
        Self {
            first: message.accounts_from,
            last: message.sequence.saturating_sub(1),
            whole_stream: batch.whole_stream,
        }
    }
}

/// Returns how many of the oldest batches one transaction takes: those of one stream, up to
/// `max_messages` messages or rows, whichever are more, and at least one.
pub fn batches_of<'a>(
    stream_id: &Arc<StreamId>,
    waiting: impl IntoIterator<Item = &'a Batch>,
    max_messages: usize,
) -> usize {
    let mut rows = 0;
    let fits = |batch: &&Batch| {
        let first = rows == 0;
        rows += batch.weight();
        batch.tail().is_none() && batch.stream_id == *stream_id && (first || rows <= max_messages)
    };
    waiting.into_iter().take_while(fits).count()
}

/// Returns the ranges that deliveries have skipped right before recorded messages, if any of their
/// sequences is not recorded.
pub fn skipped_before_recorded<'a>(
    batches: impl Iterator<Item = &'a Batch>,
    position: &Sequences,
) -> Vec<SkippedRange> {
    let recorded = batches.flat_map(|batch| {
        let known = batch.messages.iter();
        let known = known.filter(|message| position.contains(message.sequence));
        known.map(move |message| SkippedRange::before(message, batch))
    });
    recorded
        .filter(|skipped| !position.missing(skipped.first, skipped.last).is_empty())
        .collect()
}

/// Returns the gaps: skipped sequences that are not recorded and that held a message, which was
/// removed.
pub fn missing_ranges(
    skipped: impl Iterator<Item = SkippedRange>,
    recorded: &Sequences,
) -> Vec<(u64, u64)> {
    skipped
        .filter(|skipped| skipped.whole_stream)
        .flat_map(|skipped| recorded.missing(skipped.first, skipped.last))
        .collect()
}

/// Returns the number of messages in all ranges.
pub fn count(ranges: &[MessageRange<'_>]) -> usize {
    ranges.iter().map(|range| range.messages.len()).sum()
}

/// Returns the rows in all ranges for table number `table` of the format. An array message may have
/// many, a dead letter has none.
pub fn rows<'a>(ranges: &[MessageRange<'a>], table: usize) -> RowSlices<'a> {
    let mut slices = RowSlices::default();
    for range in ranges {
        if let Some(rows) = range.batch.rows().tables().get(table) {
            slices.add(rows, range.batch.rows_of(&range.messages, table));
        }
    }
    slices
}

/// Returns how many messages of a batch are both in the ranges and recorded by now.
pub fn committed(ranges: &[MessageRange<'_>], batch: &Batch, recorded: &Sequences) -> usize {
    let of_batch = ranges
        .iter()
        .filter(|range| std::ptr::eq(range.batch, batch));
    let messages = of_batch.flat_map(MessageRange::iter);
    messages.filter(|m| recorded.contains(m.sequence)).count()
}

/// Returns the messages of `batches` that are not in `recorded`, each once, and adds them to it.
pub fn unrecorded<'a>(
    batches: impl Iterator<Item = &'a Batch>,
    recorded: &mut Sequences,
) -> Vec<MessageRange<'a>> {
    let mut is_new = |message: &FetchedMessage| {
        let is_new = !recorded.contains(message.sequence);
        if is_new {
            recorded.insert(message.accounts_from, message.sequence);
        }
        is_new
    };
    batches
        .flat_map(|batch| matching_ranges(batch, 0..batch.messages.len(), &mut is_new))
        .collect()
}

/// Returns the messages of the ranges that are not recorded yet.
pub fn still_unrecorded<'a>(
    ranges: &[MessageRange<'a>],
    recorded: &Sequences,
) -> Vec<MessageRange<'a>> {
    let mut is_left = |message: &FetchedMessage| !recorded.contains(message.sequence);
    ranges
        .iter()
        .flat_map(|range| matching_ranges(range.batch, range.messages.clone(), &mut is_left))
        .collect()
}

/// Returns the wanted messages among those in `range` of a batch, consecutive ones as one range.
fn matching_ranges<'a>(
    batch: &'a Batch,
    range: Range<usize>,
    wanted: &mut impl FnMut(&FetchedMessage) -> bool,
) -> Vec<MessageRange<'a>> {
    let mut ranges: Vec<MessageRange<'a>> = Vec::new();
    let mut open: Option<MessageRange<'a>> = None;
    for number in range {
        if !batch.messages.get(number).is_some_and(&mut *wanted) {
            ranges.extend(open.take());
            continue;
        }
        open.get_or_insert(MessageRange {
            batch,
            messages: number..number,
        })
        .messages
        .end = number + 1;
    }
    ranges.extend(open);
    ranges
}

/// Returns at most `count` messages that have rows, spread evenly, each as a range of its own.
/// Another `offset` selects other messages.
pub fn sample<'a>(
    ranges: &[MessageRange<'a>],
    count: usize,
    offset: usize,
) -> Vec<MessageRange<'a>> {
    let all: Vec<MessageRange<'a>> = ranges.iter().flat_map(single_message_ranges).collect();
    let chosen = count.min(all.len());
    (0..chosen)
        .filter_map(|n| {
            all.get((n * all.len() / chosen + offset) % all.len())
                .cloned()
        })
        .collect()
}

/// Returns the messages of a range that have rows, each as a range of its own.
fn single_message_ranges<'a>(
    range: &MessageRange<'a>,
) -> impl Iterator<Item = MessageRange<'a>> + use<'a> {
    let batch = range.batch;
    let has_rows =
        move |number: &usize| matches!(batch.messages.get(*number), Some(m) if m.reject.is_none());
    range
        .messages
        .clone()
        .filter(has_rows)
        .map(move |number| MessageRange {
            batch,
            messages: number..number + 1,
        })
}

/// Returns the lowest and the highest sequence of all ranges, or `None` without a message.
pub fn sequence_bounds(ranges: &[MessageRange<'_>]) -> Option<(u64, u64)> {
    let sequences = || {
        ranges
            .iter()
            .flat_map(MessageRange::iter)
            .map(|m| m.sequence)
    };
    sequences().min().zip(sequences().max())
}

/// Splits ranges into the first half of their messages and the rest.
pub fn split_half<'a>(
    ranges: &[MessageRange<'a>],
) -> (Vec<MessageRange<'a>>, Vec<MessageRange<'a>>) {
    let mut left_to_take = count(ranges) / 2;
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for range in ranges {
        let cut = range.messages.start + left_to_take.min(range.messages.len());
        left_to_take -= cut - range.messages.start;
        let parts = [
            (&mut first, range.messages.start..cut),
            (&mut rest, cut..range.messages.end),
        ];
        for (half, messages) in parts {
            if !messages.is_empty() {
                half.push(MessageRange {
                    batch: range.batch,
                    messages,
                });
            }
        }
    }
    (first, rest)
}

/// Returns the first `max_messages` messages of the ranges.
pub fn take(mut ranges: Vec<MessageRange<'_>>, max_messages: usize) -> Vec<MessageRange<'_>> {
    let mut left = max_messages;
    for range in &mut ranges {
        let take = range.messages.len().min(left);
        left -= take;
        range.messages.end = range.messages.start + take;
    }
    ranges.retain(|range| !range.messages.is_empty());
    ranges
}

#[cfg(test)]
mod tests;
