//! Acknowledgements that wait for their commit to be durable. Commits are asynchronous; one flush
//! of the log releases the acknowledgements of many batches at once.

use crate::config::AckAfter;
use crate::pg::wal::{self, Lsn, Standby};
use crate::status::Slot;
use nats::{Nats, Receipt};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An acknowledgement never waits longer for the log writer before the worker flushes itself.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A standby may take this long before it is said that acknowledgements wait for it.
const STANDBY_IN_TIME: Duration = Duration::from_secs(2);

/// Acknowledgements in the order of their commits.
#[derive(Default)]
pub struct PendingAcks {
    lists: VecDeque<List>,
    /// Why the oldest ones could not be released although they are on this server's disk.
    standby_wait: Option<&'static str>,
}

/// Acknowledgements of one commit.
struct List {
    /// End of the commit.
    lsn: Lsn,
    at: Instant,
    pipeline: Slot,
    receipts: Vec<Receipt>,
}

impl PendingAcks {
    /// Adds what a pipeline has committed just now.
    pub fn after_commit(&mut self, pipeline: Slot, receipts: Vec<Receipt>) {
        if !receipts.is_empty() {
            self.lists.push_back(List {
                lsn: wal::last_commit(),
                at: Instant::now(),
                pipeline,
                receipts,
            });
        }
    }

    /// What acknowledgements of a pipeline wait for, if that is a standby and takes long.
    pub fn standby_wait(&self, pipeline: Slot) -> Option<&'static str> {
        let oldest = self.lists.iter().find(|list| list.pipeline == pipeline)?;
        self.standby_wait
            .filter(|_| oldest.at.elapsed() > STANDBY_IN_TIME)
    }

    /// Drops what a pipeline has not acknowledged yet. Its new session is sent again what the
    /// server holds, and may have to write it again.
    pub fn forget(&mut self, pipeline: Slot) {
        self.lists.retain(|list| list.pipeline != pipeline);
    }

    /// Whether any acknowledgement waits.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Hands over what is durable on every level already, without waiting for anything.
    pub fn release_durable(&mut self, nats: &Nats) {
        self.release(AckAfter::Applied, false, nats);
    }

    /// Hands over what has become durable. Flushes the log when `idle`, or when the log writer has
    /// not written for long.
    pub fn release(&mut self, after: AckAfter, idle: bool, nats: &Nats) {
        self.standby_wait = None;
        let (Some(oldest), Some(newest)) = (self.lists.front(), self.lists.back()) else {
            return;
        };
        if idle || oldest.at.elapsed() > LONGEST_WAIT {
            wal::flush(newest.lsn);
        }
        let (flushed, durable) = (durable(AckAfter::Flush), durable(after));
        while let Some(list) = self.lists.pop_front() {
            if list.lsn > durable {
                self.standby_wait = awaited(after).filter(|_| list.lsn <= flushed);
                self.lists.push_front(list);
                return;
            }
            if let Err(receipts) = nats.acknowledge(list.receipts) {
                self.lists.push_front(List { receipts, ..list });
                return;
            }
        }
    }
}

/// What is missing, in words, when a commit is on this server's disk and that is not enough.
fn awaited(after: AckAfter) -> Option<&'static str> {
    match after {
        AckAfter::Flush => None,
        AckAfter::Replicated => Some(
            "rows are written and visible here; their acknowledgements wait for a synchronous standby to have them on disk (ack_after = replicated)",
        ),
        AckAfter::Applied => Some(
            "rows are written and visible here; their acknowledgements wait for a synchronous standby to apply them (ack_after = applied)",
        ),
    }
}

/// Up to where commits count as durable.
fn durable(after: AckAfter) -> Lsn {
    let flushed = wal::flushed();
    match after {
        AckAfter::Flush => flushed,
        AckAfter::Replicated => flushed.min(wal::confirmed(Standby::Flushed)),
        AckAfter::Applied => flushed.min(wal::confirmed(Standby::Applied)),
    }
}
