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

/// Number of messages in all runs.
pub fn count(runs: &[Run<'_>]) -> usize {
    runs.iter().map(|run| run.messages.len()).sum()
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
