//! Positions in the write-ahead log: the newest commit, what is flushed, what standbys have
//! confirmed.

use pgrx::prelude::*;

/// A position in the write-ahead log.
pub type Lsn = u64;

/// Returns the end of the newest commit that this process can have seen, its own or an earlier
/// worker's.
pub fn last_commit() -> Lsn {
    // SAFETY: main thread. Before the first commit of this process the variable is 0; the current
    // end of the log then covers whatever an earlier worker has left unflushed. No test can
    // distinguish the two: looking for a seek takes a transaction id, so each worker has committed
    // something before its first message.
    unsafe {
        match (&raw const pg_sys::XactLastCommitEnd).read() {
            0 => pg_sys::GetXLogInsertRecPtr(),
            lsn => lsn,
        }
    }
}

/// Flushes the log up to `position`.
pub fn flush(position: Lsn) {
    // SAFETY: main thread; the position came from the log itself.
    unsafe { pg_sys::XLogFlush(position) };
}

/// Returns the position up to which the log is flushed on this server.
pub fn flushed() -> Lsn {
    // SAFETY: main thread; reads shared memory through PostgreSQL's own function.
    unsafe { pg_sys::GetFlushRecPtr(std::ptr::null_mut()) }
}

/// What a synchronous standby has done with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// Flushed it to disk.
    Flushed,
    /// Applied it, so that its sessions see the rows.
    Applied,
}

/// Returns the position up to which the synchronous standbys have confirmed, or [`Lsn::MAX`] when
/// there are none to wait for.
pub fn confirmed(standby: Standby) -> Lsn {
    let mode = match standby {
        Standby::Flushed => pg_sys::SYNC_REP_WAIT_FLUSH,
        Standby::Applied => pg_sys::SYNC_REP_WAIT_APPLY,
    };
    // SAFETY: WalSndCtl points to shared memory that lives as long as the server. The position is
    // an aligned 64-bit value that only grows; PostgreSQL itself peeks at it without a lock first.
    unsafe {
        let control = pg_sys::WalSndCtl;
        let status = (&raw const (*control).sync_standbys_status).read_volatile();
        let status = u32::from(status);
        let defined = match status & pg_sys::SYNC_STANDBY_INIT {
            // The checkpointer has not evaluated the setting yet.
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
