//! Simulates a power failure: the server loses everything that it has not flushed to disk.
//!
//! The test clusters run with `fsync = off`, so the server's own flush position in the WAL counts
//! as flushed. All its processes are frozen, the position is read through the one session that
//! still runs, and the WAL is cut there. Table pages may be on disk or not. The server never writes
//! one before its WAL, so pages that have been written may stay.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Postgres, make_parent};
use crate::process::{self, Signal};
use crate::wait;

/// Timeout of the query for the position. A frozen process may hold a lock that the query needs;
/// then the processes continue and are frozen again.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const TRIES: usize = 10;

/// The position up to which the WAL is flushed to disk.
#[derive(Debug, Clone, Copy)]
struct Flushed {
    timeline: u32,
    lsn: u64,
    segment_size: u64,
}

/// Stopped processes, which continue when this is dropped.
struct Frozen(Vec<i32>);

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0
            .iter()
            .for_each(|&pid| process::kill(pid, Signal::SIGCONT));
    }
}

impl Postgres {
    /// Copies what a power failure at this moment would leave of this running server. The copy is a
    /// separate server with the same settings but another port, and is not started; this server
    /// continues.
    ///
    /// `meanwhile` runs while the server is frozen, so that what it reads elsewhere (such as the
    /// acknowledgements in NATS) belongs to the same moment.
    pub async fn copy_data_mid_flight<T>(&self, meanwhile: impl AsyncFnOnce() -> T) -> (Self, T) {
        let copy = self.sibling();
        make_parent(&copy.data());
        let (frozen, flushed) = self.freeze().await;
        let seen = meanwhile().await;
        let done = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([self.data(), copy.data()])
            .status();
        assert!(done.expect("run cp").success(), "copy the data directory");
        drop(frozen);
        fs::remove_file(copy.data().join("postmaster.pid")).expect("remove the copied lock file");
        flushed.cut(&copy.data().join("pg_wal"));
        copy.add_settings(&[("port", &copy.port().to_string())]);
        (copy, seen)
    }

    /// Cuts the power of this running server: every process is killed, and data that is not flushed
    /// to disk is lost. It can be started again.
    pub async fn lose_power(&self) {
        let (frozen, flushed) = self.freeze().await;
        self.kill_all().await;
        drop(frozen);
        flushed.cut(&self.data().join("pg_wal"));
    }

    /// Freezes every process, and returns the flush position after the last one has stopped.
    async fn freeze(&self) -> (Frozen, Flushed) {
        for _ in 0..TRIES {
            let session = self.connect().await;
            let pid = session.query_one("SELECT pg_backend_pid()", &[]).await;
            let own: i32 = pid.expect("the session's process").get(0);
            let mut frozen = Frozen(Vec::new());
            frozen.stop(&[self.postmaster_pid()]).await;
            let mut others = process::children(self.postmaster_pid());
            others.retain(|&pid| pid != own);
            frozen.stop(&others).await;
            let answer = tokio::time::timeout(ANSWER_WITHIN, Flushed::ask(&session)).await;
            if let Ok(Ok(flushed)) = answer {
                frozen.stop(&[own]).await;
                return (frozen, flushed);
            }
        }
        panic!("no session can be asked how far the log is flushed while the others stand still");
    }
}

impl Frozen {
    async fn stop(&mut self, pids: &[i32]) {
        self.0.extend(pids);
        pids.iter()
            .for_each(|&pid| process::kill(pid, Signal::SIGSTOP));
        let within = Duration::from_secs(10);
        wait::eventually(within, "the server stands still", async || {
            pids.iter().all(|&pid| process::stands_still(pid))
        })
        .await;
    }
}

impl Flushed {
    async fn ask(session: &tokio_postgres::Client) -> Result<Self, tokio_postgres::Error> {
        let sql = "SELECT (pg_current_wal_flush_lsn() - '0/0')::int8,
            substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8),
            (SELECT setting::int8 FROM pg_settings WHERE name = 'wal_segment_size')";
        let row = session.query_one(sql, &[]).await?;
        let (lsn, timeline, segment): (i64, &str, i64) = (row.get(0), row.get(1), row.get(2));
        Ok(Self {
            timeline: u32::from_str_radix(timeline, 16).expect("a timeline"),
            lsn: lsn.unsigned_abs(),
            segment_size: segment.unsigned_abs(),
        })
    }

    /// Removes everything behind the position from the WAL of a server that is not running.
    fn cut(self, folder: &Path) {
        let last = self.file_of(self.lsn / self.segment_size);
        for entry in fs::read_dir(folder).expect("list pg_wal").flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let is_segment = name.len() == 24 && name.bytes().all(|b| b.is_ascii_hexdigit());
            if is_segment && name > last {
                fs::remove_file(entry.path()).expect("remove a later part of the log");
            }
        }
        // If the position is the beginning of a segment, its file may not exist yet.
        if let Ok(file) = File::options().write(true).open(folder.join(last)) {
            let from = self.lsn % self.segment_size;
            let rest = vec![0; usize::try_from(self.segment_size - from).expect("fits")];
            file.write_all_at(&rest, from).expect("cut the log");
        }
    }

    /// Returns the file name of a segment.
    fn file_of(self, segment: u64) -> String {
        let per_id = (1 << 32) / self.segment_size;
        let (high, low) = (segment / per_id, segment % per_id);
        format!("{:08X}{high:08X}{low:08X}", self.timeline)
    }
}
