//! Which messages one transaction is about: ranges of batches that can be halved without copying
//! anything. Pure; what is done with them is the writer's business.

use nats::{Batch, Message, Sequences};
use std::ops::Range;

#[cfg(test)]
mod tests;

/// Some messages of one batch.
#[derive(Clone, Debug)]
pub struct MessageRange<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// Its messages that are meant.
    pub messages: Range<usize>,
}

impl<'a> MessageRange<'a> {
    /// The messages themselves.
    pub fn iter(&self) -> impl Iterator<Item = &'a Message> + use<'a> {
        self.batch
            .messages
            .get(self.messages.clone())
            .unwrap_or_default()
            .iter()
    }
}

/// Sequences that the deliveries have passed over: no message of this pipeline is there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedRange {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// The pipeline reads all subjects of the stream, so there was a message once.
    pub whole_stream: bool,
}

impl SkippedRange {
    /// What lies between a message and the one delivered before it.
    pub fn before(message: &Message, batch: &Batch) -> Self {
        Self {
            first: message.settles_from,
            last: message.sequence.saturating_sub(1),
            whole_stream: batch.whole_stream,
        }
    }
}

/// What of the sequences passed over is missing from the record for good, and no one's choice.
pub fn missing_ranges(
    passed: impl Iterator<Item = SkippedRange>,
    recorded: &Sequences,
) -> Vec<(u64, u64)> {
    passed
        .filter(|passed| passed.whole_stream)
        .flat_map(|passed| recorded.missing(passed.first, passed.last))
        .collect()
}

/// Number of messages in all runs.
pub fn count(runs: &[MessageRange<'_>]) -> usize {
    runs.iter().map(|run| run.messages.len()).sum()
}

/// Number of rows in all runs: an array message may be many, a dead letter is none.
pub fn rows(runs: &[MessageRange<'_>]) -> usize {
    let of_run = |run: &MessageRange<'_>| {
        let tables = 0..run.batch.rows().tables().len();
        tables
            .map(|table| run.batch.rows_of(&run.messages, table).len())
            .sum::<usize>()
    };
    runs.iter().map(of_run).sum()
}

/// Number of messages of one batch in the runs that `recorded` has by now.
pub fn committed(runs: &[MessageRange<'_>], batch: &Batch, recorded: &Sequences) -> usize {
    let of_batch = runs.iter().filter(|run| std::ptr::eq(run.batch, batch));
    let messages = of_batch.flat_map(MessageRange::iter);
    messages.filter(|m| recorded.contains(m.sequence)).count()
}

/// The messages of `batches` that `recorded` lacks, each once. They are added to `recorded`.
pub fn unrecorded<'a>(
    batches: impl Iterator<Item = &'a Batch>,
    recorded: &mut Sequences,
) -> Vec<MessageRange<'a>> {
    let mut is_new = |message: &Message| {
        let is_new = !recorded.contains(message.sequence);
        if is_new {
            recorded.insert(message.settles_from, message.sequence);
        }
        is_new
    };
    batches
        .flat_map(|batch| parts(batch, 0..batch.messages.len(), &mut is_new))
        .collect()
}

/// What of the runs is not recorded yet.
pub fn left<'a>(runs: &[MessageRange<'a>], recorded: &Sequences) -> Vec<MessageRange<'a>> {
    let mut is_left = |message: &Message| !recorded.contains(message.sequence);
    runs.iter()
        .flat_map(|run| parts(run.batch, run.messages.clone(), &mut is_left))
        .collect()
}

/// The messages of a batch's range that are wanted, those that follow each other in one run.
fn parts<'a>(
    batch: &'a Batch,
    range: Range<usize>,
    wanted: &mut impl FnMut(&Message) -> bool,
) -> Vec<MessageRange<'a>> {
    let mut runs: Vec<MessageRange<'a>> = Vec::new();
    let mut open: Option<MessageRange<'a>> = None;
    for number in range {
        if !batch.messages.get(number).is_some_and(&mut *wanted) {
            runs.extend(open.take());
            continue;
        }
        open.get_or_insert(MessageRange {
            batch,
            messages: number..number,
        })
        .messages
        .end = number + 1;
    }
    runs.extend(open);
    runs
}

/// At most `count` messages with rows, spread evenly, each as a run of its own; another choice for
/// each `offset`.
pub fn sample<'a>(runs: &[MessageRange<'a>], count: usize, offset: usize) -> Vec<MessageRange<'a>> {
    let all: Vec<MessageRange<'a>> = runs.iter().flat_map(singles).collect();
    let chosen = count.min(all.len());
    (0..chosen)
        .filter_map(|n| {
            all.get((n * all.len() / chosen + offset) % all.len())
                .cloned()
        })
        .collect()
}

/// The messages of a run that have rows, one by one.
fn singles<'a>(run: &MessageRange<'a>) -> impl Iterator<Item = MessageRange<'a>> + use<'a> {
    let batch = run.batch;
    let has_rows =
        move |number: &usize| matches!(batch.messages.get(*number), Some(m) if m.reject.is_none());
    run.messages
        .clone()
        .filter(has_rows)
        .map(move |number| MessageRange {
            batch,
            messages: number..number + 1,
        })
}

/// First and last sequence of all runs; `None` without a message.
pub fn sequence_bounds(runs: &[MessageRange<'_>]) -> Option<(u64, u64)> {
    let sequences = || runs.iter().flat_map(MessageRange::iter).map(|m| m.sequence);
    sequences().min().zip(sequences().max())
}

/// Splits runs into the first half of their messages and the rest.
pub fn split_half<'a>(runs: &[MessageRange<'a>]) -> (Vec<MessageRange<'a>>, Vec<MessageRange<'a>>) {
    let mut left_to_take = count(runs) / 2;
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for run in runs {
        let cut = run.messages.start + left_to_take.min(run.messages.len());
        left_to_take -= cut - run.messages.start;
        let parts = [
            (&mut first, run.messages.start..cut),
            (&mut rest, cut..run.messages.end),
        ];
        for (half, messages) in parts {
            if !messages.is_empty() {
                half.push(MessageRange {
                    batch: run.batch,
                    messages,
                });
            }
        }
    }
    (first, rest)
}

/// Cuts runs down to their first `limit` messages.
pub fn take(mut runs: Vec<MessageRange<'_>>, limit: usize) -> Vec<MessageRange<'_>> {
    let mut left = limit;
    for run in &mut runs {
        let take = run.messages.len().min(left);
        left -= take;
        run.messages.end = run.messages.start + take;
    }
    runs.retain(|run| !run.messages.is_empty());
    runs
}
