//! Acknowledgements that wait for their commit to be durable. Commits are asynchronous; one flush
//! of the log releases the acknowledgements of many batches at once.

use crate::config::AckAfter;
use async_nats::Subject;
use pgrx::prelude::*;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use stream::Handle;

/// A position in the write-ahead log.
type Lsn = u64;

/// An acknowledgement never waits longer for the log writer before the worker flushes itself.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Acknowledgements in the order of their commits.
#[derive(Default)]
pub struct Waiting {
    lists: VecDeque<(Lsn, Instant, Vec<Subject>)>,
}

impl Waiting {
    /// Adds what was committed just now.
    pub fn after_commit(&mut self, replies: Vec<Subject>) {
        if !replies.is_empty() {
            self.lists
                .push_back((last_commit(), Instant::now(), replies));
        }
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
        let Some(&(newest, _, _)) = self.lists.back() else {
            return;
        };
        let waited_long = self
            .lists
            .front()
            .is_some_and(|(_, at, _)| at.elapsed() > LONGEST_WAIT);
        if idle || waited_long {
            flush(newest);
        }
        let durable = durable(after);
        while let Some((lsn, at, replies)) = self.lists.pop_front() {
            if lsn > durable {
                self.lists.push_front((lsn, at, replies));
                return;
            }
            if let Err(replies) = handle.acknowledge(replies) {
                self.lists.push_front((lsn, at, replies));
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

/// End of the newest commit that this process can have seen, its own or an earlier worker's.
fn last_commit() -> Lsn {
    // SAFETY: main thread. Before the first commit of this process the variable is 0; then whatever
    // is in the log so far covers what an earlier worker may have left unflushed.
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
        if u32::from(status) & pg_sys::SYNC_STANDBY_DEFINED == 0 {
            return Lsn::MAX;
        }
        let lsns = (&raw const (*control).lsn).cast::<Lsn>();
        lsns.add(mode as usize).read_volatile()
    }
}
