//! Acknowledgements that wait until their commit is durable. Commits are asynchronous; one flush of
//! the WAL releases the acknowledgements of many batches.

use crate::config::AckAfter;
use crate::pg::wal::{self, Lsn, Standby};
use crate::status::Slot;
use nats::{Nats, Receipt};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Longest time that an acknowledgement waits for the WAL writer; then the worker flushes itself.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Time after which the status reports that acknowledgements wait for a standby.
const STANDBY_IN_TIME: Duration = Duration::from_secs(2);

/// Waiting acknowledgements, in the order of their commits.
#[derive(Default)]
pub struct PendingAcks {
    /// One entry for each commit, oldest first.
    commits: VecDeque<CommitAcks>,
    /// Status text if the oldest commit is flushed here and waits for a standby.
    standby_wait: Option<&'static str>,
}

/// Acknowledgements of one commit.
struct CommitAcks {
    /// End of the commit in the WAL.
    lsn: Lsn,
    /// Time when the commit returned.
    at: Instant,
    /// Slot of the pipeline that committed.
    pipeline: Slot,
    /// Acknowledgements of the messages that the commit recorded.
    receipts: Vec<Receipt>,
}

impl PendingAcks {
    /// Adds the acknowledgements of the commit that a pipeline has just made.
    pub fn after_commit(&mut self, pipeline: Slot, receipts: Vec<Receipt>) {
        if !receipts.is_empty() {
            self.commits.push_back(CommitAcks {
                lsn: wal::last_commit(),
                at: Instant::now(),
                pipeline,
                receipts,
            });
        }
    }

    /// Returns the status text if acknowledgements of a pipeline have waited long for a standby.
    pub fn standby_wait(&self, pipeline: Slot) -> Option<&'static str> {
        let oldest = self
            .commits
            .iter()
            .find(|commit| commit.pipeline == pipeline)?;
        self.standby_wait
            .filter(|_| oldest.at.elapsed() > STANDBY_IN_TIME)
    }

    /// Drops the waiting acknowledgements of a pipeline that has a new session. The server delivers
    /// those messages again, and the session may have to write them again.
    pub fn forget(&mut self, pipeline: Slot) {
        self.commits.retain(|commit| commit.pipeline != pipeline);
    }

    /// Returns whether no acknowledgement waits.
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// Passes on the acknowledgements that are durable at every level of `ack_after`, without
    /// waiting for a flush.
    pub fn release_durable(&mut self, nats: &Nats) {
        self.release(AckAfter::Applied, false, nats);
    }

    /// Passes on the acknowledgements whose commits have become durable. Flushes the WAL if `idle`,
    /// or if the WAL writer has taken longer than [`LONGEST_WAIT`].
    pub fn release(&mut self, after: AckAfter, idle: bool, nats: &Nats) {
        self.standby_wait = None;
        let (Some(oldest), Some(newest)) = (self.commits.front(), self.commits.back()) else {
            return;
        };
        if idle || oldest.at.elapsed() > LONGEST_WAIT {
            wal::flush(newest.lsn);
        }
        let (flushed, durable) = (durable(AckAfter::Flush), durable(after));
        while let Some(commit) = self.commits.pop_front() {
            if commit.lsn > durable {
                self.standby_wait = standby_wait_text(after).filter(|_| commit.lsn <= flushed);
                self.commits.push_front(commit);
                return;
            }
            if let Err(receipts) = nats.acknowledge(commit.receipts) {
                self.commits.push_front(CommitAcks { receipts, ..commit });
                return;
            }
        }
    }
}

/// Returns the status text while acknowledgements wait for a standby.
fn standby_wait_text(after: AckAfter) -> Option<&'static str> {
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

/// Returns the LSN up to which commits count as durable.
fn durable(after: AckAfter) -> Lsn {
    let flushed = wal::flushed();
    match after {
        AckAfter::Flush => flushed,
        AckAfter::Replicated => flushed.min(wal::confirmed(Standby::Flushed)),
        AckAfter::Applied => flushed.min(wal::confirmed(Standby::Applied)),
    }
}
