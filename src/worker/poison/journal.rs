//! A journal of the messages that are being written, in a file that survives a crash of the
//! process.
//!
//! A message can crash the whole process: by a trigger or an extension that crashes, or by memory
//! that the operating system does not grant. The transaction is lost with the process, so the next
//! process would try the message again, for ever. Therefore the messages of each transaction are
//! written to the journal before it, and removed after it. The journal is not a table, because a
//! row would have to be committed and flushed first. The file is never flushed either, because no
//! message is to blame for a machine that loses power.
//!
//! After the first crash all messages of the transaction are suspects, and are written one by one.
//! A message that crashes the process again while it is written alone is a poison message, and
//! becomes a dead letter without another attempt. Since a process may be killed for any reason, a
//! message counts as poison only after several kills. A process that ends in an orderly way, or
//! because another process crashed, leaves no suspects.

use super::suspects::{self, ALIVE, Attempt, CRASHED, END, SuspectRange};
use crate::pg::signals;
use nats::StreamId;
use pgrx::prelude::*;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Directory of the file. `pg_basebackup` leaves it out: a copy of the server has no use for it.
const DIRECTORY: &str = "pg_stat_tmp";

/// The journal of one worker.
pub struct CrashJournal {
    /// The file, unless it cannot be written.
    file: Option<File>,
    /// Transaction that is running, if there is one.
    attempt: Option<Attempt>,
    /// Suspects of each pipeline, from earlier processes.
    suspects: Vec<SuspectRange>,
}

impl CrashJournal {
    /// Reads the journal that the last process of worker `number` has left, and begins a new one.
    ///
    /// A server that cannot write the file works without it.
    pub fn open(number: usize) -> Self {
        let path = format!("{DIRECTORY}/sr_event_writer.{number}");
        let text = std::fs::read(&path).unwrap_or_default();
        let suspects = suspects::read(&String::from_utf8_lossy(&text));
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&path);
        let file = file
            .inspect_err(|error| warning!("sr_event_writer: {path} cannot be written: {error}"))
            .ok();
        if let Some(file) = &file {
            signals::mark_on_crash(file.as_raw_fd(), CRASHED);
        }
        for suspects in &suspects {
            pipeline_warning!(
                suspects.pipeline,
                "the process ended while it wrote sequences {} to {}; they are written one by one now",
                suspects.first,
                suspects.last
            );
        }
        let journal = Self {
            file,
            attempt: None,
            suspects,
        };
        journal.write();
        journal
    }

    /// Returns the suspects among a pipeline's messages.
    pub fn suspects(&self, pipeline: &str) -> Option<&SuspectRange> {
        self.suspects
            .iter()
            .find(|suspects| suspects.pipeline == pipeline)
    }

    /// Removes a pipeline's suspects, after they were written or became dead letters.
    pub fn clear(&mut self, pipeline: &str) {
        self.suspects
            .retain(|suspects| suspects.pipeline != pipeline);
        self.write();
    }

    /// Notes that sequences `first` to `last` are about to be written.
    pub fn begin(&mut self, pipeline: &str, stream_id: &StreamId, (first, last): (u64, u64)) {
        self.attempt = Some(Attempt {
            pipeline: pipeline.to_owned(),
            created: stream_id.created.postgres_micros(),
            first,
            last,
        });
        self.write();
    }

    /// Notes that the transaction was committed, or failed in an orderly way.
    pub fn end(&mut self) {
        if self.attempt.take().is_some() {
            self.write();
        }
    }

    /// Replaces the content of the file.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let mut text = String::with_capacity(128);
        text.push_str(ALIVE);
        text.push('\n');
        if let Some(attempt) = &self.attempt {
            text.push_str(&attempt.line());
        }
        for suspects in &self.suspects {
            text.push_str(&suspects.line());
        }
        text.push_str(END);
        text.push('\n');
        // Best effort: without the journal, a crash does not show which messages may be its cause.
        let _ = file.write_all_at(text.as_bytes(), 0);
    }
}
