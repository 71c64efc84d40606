//! Which messages one transaction is about: ranges of batches that can be halved without copying
//! anything. Pure; what is done with them is the writer's business.

use std::ops::Range;
use stream::{Batch, Message, Sequences};

/// Some messages of one batch.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// Its messages that are meant.
    pub messages: Range<usize>,
}

impl<'a> Run<'a> {
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
pub struct Passed {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// The pipeline reads all subjects of the stream, so there was a message once.
    pub whole_stream: bool,
}

impl Passed {
    /// What lies between a message and the one delivered before it.
    pub fn before(message: &Message, batch: &Batch) -> Self {
        Self {
            first: message.covers,
            last: message.sequence.saturating_sub(1),
            whole_stream: batch.whole_stream,
        }
    }
}

/// What of the sequences passed over is missing from the record for good, and no one's choice.
pub fn gaps(passed: impl Iterator<Item = Passed>, recorded: &Sequences) -> Vec<(u64, u64)> {
    passed
        .filter(|passed| passed.whole_stream)
        .flat_map(|passed| recorded.missing(passed.first, passed.last))
        .collect()
}

/// Number of messages in all runs.
pub fn count(runs: &[Run<'_>]) -> usize {
    runs.iter().map(|run| run.messages.len()).sum()
}

/// Number of messages of one batch in the runs.
pub fn count_in(runs: &[Run<'_>], batch: &Batch) -> usize {
    let of_batch = runs.iter().filter(|run| std::ptr::eq(run.batch, batch));
    of_batch.map(|run| run.messages.len()).sum()
}

/// The messages of `batches` that `recorded` lacks, each once. They are added to `recorded`.
pub fn unrecorded<'a>(
    batches: impl Iterator<Item = &'a Batch>,
    recorded: &mut Sequences,
) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    for batch in batches {
        let mut open: Option<Run<'a>> = None;
        for (number, message) in batch.messages.iter().enumerate() {
            if recorded.contains(message.sequence) {
                runs.extend(open.take());
                continue;
            }
            recorded.insert(message.covers, message.sequence);
            open.get_or_insert(Run {
                batch,
                messages: number..number,
            })
            .messages
            .end = number + 1;
        }
        runs.extend(open);
    }
    runs
}

/// First and last sequence of all runs; `None` without a message.
pub fn ends(runs: &[Run<'_>]) -> Option<(u64, u64)> {
    let sequences = || runs.iter().flat_map(Run::iter).map(|m| m.sequence);
    sequences().min().zip(sequences().max())
}

/// Splits runs into the first half of their messages and the rest.
pub fn halve<'a>(runs: &[Run<'a>]) -> (Vec<Run<'a>>, Vec<Run<'a>>) {
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
                half.push(Run {
                    batch: run.batch,
                    messages,
                });
            }
        }
    }
    (first, rest)
}

/// Cuts runs down to their first `limit` messages.
pub fn first(mut runs: Vec<Run<'_>>, limit: usize) -> Vec<Run<'_>> {
    let mut left = limit;
    for run in &mut runs {
        let take = run.messages.len().min(left);
        left -= take;
        run.messages.end = run.messages.start + take;
    }
    runs.retain(|run| !run.messages.is_empty());
    runs
}
