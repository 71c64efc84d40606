//! What is being written at this moment, noted in a file where a crash of the process leaves it.
//!
//! A message can take the whole process down with it: a trigger or an extension that crashes, or
//! memory that the operating system does not grant. The database forgets that it was ever tried, so
//! the next process would try it again, for ever. Hence this note, made before each transaction and
//! taken back after it: no row of a table, for that would have to be committed and flushed first,
//! and no flush at all, for a machine that loses power is no message's fault.
//!
//! The first crash makes suspects of all messages of the transaction: they are written one by one.
//! A message that takes the process down again while it stands alone is a poison message: it
//! becomes a dead letter without being tried. A process may have been killed for any reason, so a
//! message is to blame only after several kills. Processes that end in an orderly way, or because
//! another one crashed, leave no suspects.

use super::suspects::{self, ALIVE, Attempt, CRASHED, END, SuspectRange};
use crate::pg::signals;
use nats::StreamId;
use pgrx::prelude::*;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Directory of what is of no use to a copy of the server: `pg_basebackup` leaves it out.
const DIRECTORY: &str = "pg_stat_tmp";

/// The note of one worker.
pub struct CrashJournal {
    file: Option<File>,
    attempt: Option<Attempt>,
    suspects: Vec<SuspectRange>,
}

impl CrashJournal {
    /// Reads what the last process of worker `number` has left, and begins a new note.
    ///
    /// A server that cannot keep the note works without it.
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

    /// What is suspected of a pipeline's messages.
    pub fn suspects(&self, pipeline: &str) -> Option<&SuspectRange> {
        self.suspects
            .iter()
            .find(|suspects| suspects.pipeline == pipeline)
    }

    /// A pipeline's suspects are written, or kept as dead letters.
    pub fn clear(&mut self, pipeline: &str) {
        self.suspects
            .retain(|suspects| suspects.pipeline != pipeline);
        self.write();
    }

    /// Notes that messages `first` to `last` are about to be written.
    pub fn begin(&mut self, pipeline: &str, stream_id: &StreamId, (first, last): (u64, u64)) {
        self.attempt = Some(Attempt {
            pipeline: pipeline.to_owned(),
            created: stream_id.created.postgres_micros(),
            first,
            last,
        });
        self.write();
    }

    /// Notes that nothing is being written: committed, or failed in an orderly way.
    pub fn end(&mut self) {
        if self.attempt.take().is_some() {
            self.write();
        }
    }

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
        // Without the note a crash only goes unexplained.
        let _ = file.write_all_at(text.as_bytes(), 0);
    }
}
