//! Acknowledgements that wait for their commit to be durable. Commits are asynchronous; one flush
//! of the log releases the acknowledgements of many batches at once.

use crate::config::AckAfter;
use pgrx::prelude::*;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use stream::{Handle, Receipt};

/// A position in the write-ahead log.
type Lsn = u64;

/// An acknowledgement never waits longer for the log writer before the worker flushes itself.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A standby may take this long before it is said that acknowledgements wait for it.
const STANDBY_IN_TIME: Duration = Duration::from_secs(2);

/// Acknowledgements in the order of their commits.
#[derive(Default)]
pub struct Waiting {
    lists: VecDeque<List>,
    /// Why the oldest ones could not be released although they are on this server's disk.
    held: Option<&'static str>,
}

/// Acknowledgements of one commit.
struct List {
    /// End of the commit.
    lsn: Lsn,
    at: Instant,
    lane: usize,
    receipts: Vec<Receipt>,
}

impl Waiting {
    /// Adds what lane number `lane` has committed just now.
    pub fn after_commit(&mut self, lane: usize, receipts: Vec<Receipt>) {
        if !receipts.is_empty() {
            self.lists.push_back(List {
                lsn: last_commit(),
                at: Instant::now(),
                lane,
                receipts,
            });
        }
    }

    /// What acknowledgements of lane number `lane` wait for, if that is a standby and takes long.
    pub fn held(&self, lane: usize) -> Option<&'static str> {
        let oldest = self.lists.iter().find(|list| list.lane == lane)?;
        self.held.filter(|_| oldest.at.elapsed() > STANDBY_IN_TIME)
    }

    /// Drops what lane number `lane` has not acknowledged yet. Its new session is sent again what the
    /// server holds, and may have to write it again.
    pub fn forget(&mut self, lane: usize) {
        self.lists.retain(|list| list.lane != lane);
    }

    /// Whether any acknowledgement waits.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Hands over what is durable on every level already, without waiting for anything.
    pub fn release_durable(&mut self, handle: &Handle) {
        self.release(AckAfter::Applied, false, handle);
    }

    /// Hands over what has become durable. Flushes the log when `idle`, or when the log writer has
    /// not come by for long.
    pub fn release(&mut self, after: AckAfter, idle: bool, handle: &Handle) {
        self.held = None;
        let (Some(oldest), Some(newest)) = (self.lists.front(), self.lists.back()) else {
            return;
        };
        if idle || oldest.at.elapsed() > LONGEST_WAIT {
            flush(newest.lsn);
        }
        let (flushed, durable) = (durable(AckAfter::Flush), durable(after));
        while let Some(list) = self.lists.pop_front() {
            if list.lsn > durable {
                self.held = awaited(after).filter(|_| list.lsn <= flushed);
                self.lists.push_front(list);
                return;
            }
            if let Err(receipts) = handle.acknowledge(list.receipts) {
                self.lists.push_front(List { receipts, ..list });
                return;
            }
        }
    }
}

/// Makes everything that this process has committed durable on this server.
pub fn flush_commits() {
    flush(last_commit());
}

fn flush(position: Lsn) {
    // SAFETY: main thread; the position was handed out by the log itself.
    unsafe { pg_sys::XLogFlush(position) };
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

/// End of the newest commit that this process can have seen, its own or an earlier worker's.
fn last_commit() -> Lsn {
    // SAFETY: main thread. Before the first commit of this process the variable is 0; then whatever
    // is in the log so far covers what an earlier worker may have left unflushed. No test tells whether
    // it does: asking for an operator's wish takes a transaction id, so each worker has committed
    // something before its first message.
    unsafe {
        match (&raw const pg_sys::XactLastCommitEnd).read() {
            0 => pg_sys::GetXLogInsertRecPtr(),
            lsn => lsn,
        }
    }
}

/// Up to where commits count as durable.
fn durable(after: AckAfter) -> Lsn {
    // SAFETY: main thread; reads shared memory through PostgreSQL's own function.
    let flushed = unsafe { pg_sys::GetFlushRecPtr(std::ptr::null_mut()) };
    match after {
        AckAfter::Flush => flushed,
        AckAfter::Replicated => flushed.min(replicated(pg_sys::SYNC_REP_WAIT_FLUSH)),
        AckAfter::Applied => flushed.min(replicated(pg_sys::SYNC_REP_WAIT_APPLY)),
    }
}

/// Up to where the synchronous standbys have confirmed; everything when there are none to wait for.
fn replicated(mode: u32) -> Lsn {
    // SAFETY: WalSndCtl points to shared memory that lives as long as the server. The position is
    // an aligned 64-bit value that only grows; PostgreSQL itself peeks at it without a lock first.
    unsafe {
        let control = pg_sys::WalSndCtl;
        let status = (&raw const (*control).sync_standbys_status).read_volatile();
        let status = u32::from(status);
        let defined = match status & pg_sys::SYNC_STANDBY_INIT {
            // The checkpointer has not said yet: what it will say is in the setting.
            0 => (*(&raw const pg_sys::SyncRepStandbyNames).read()) != 0,
            _ => status & pg_sys::SYNC_STANDBY_DEFINED != 0,
        };
        if !defined {
            return Lsn::MAX;
        }
        let lsns = (&raw const (*control).lsn).cast::<Lsn>();
        lsns.add(mode as usize).read_volatile()
    }
}
