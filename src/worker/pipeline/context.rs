//! What a turn of a pipeline is given to write with, and what it gives back.

use crate::destination::Stdin;
use crate::pg::failure::Failure;
use crate::worker::poison::CrashJournal;
use nats::{DeadLetterMessage, Sequences, StreamId};
use std::time::Duration;

/// Resources that all writers of this process share.
pub struct WriteResources {
    /// Standard input.
    pub stdin: Stdin,
    /// The note of what is being written.
    pub crash_journal: CrashJournal,
}

/// What a transaction did.
#[derive(Debug, Default)]
pub struct Written {
    /// Messages recorded.
    pub messages: u64,
    /// Rows inserted or updated.
    pub rows: u64,
    /// Messages kept as dead letters.
    pub dead_letters: Vec<DeadLetterMessage>,
}

impl Written {
    /// Whether a message was written, and not set aside.
    pub fn any(&self) -> bool {
        self.messages > self.dead_letters.len() as u64
    }

    /// Adds what another one did.
    pub fn add(&mut self, other: Written) {
        self.messages += other.messages;
        self.rows += other.rows;
        self.dead_letters.extend(other.dead_letters);
    }
}

/// What all transactions of one turn of a pipeline share.
pub struct WriteContext<'a> {
    /// Stream that the messages are of.
    pub stream_id: &'a StreamId,
    /// What is recorded of it; moves along with every transaction that commits.
    pub position: &'a mut Sequences,
    /// Of the process.
    pub resources: &'a mut WriteResources,
    /// After this time a transaction is cancelled.
    pub timeout: Duration,
}

/// What became of messages.
#[derive(Debug, Default)]
pub struct WriteOutcome {
    /// What was committed.
    pub written: Written,
    /// The first failure that is not about a row. The rest of the messages is to be tried again.
    pub failure: Option<Failure>,
}

impl From<Result<Written, Failure>> for WriteOutcome {
    fn from(result: Result<Written, Failure>) -> Self {
        match result {
            Ok(written) => Self {
                written,
                failure: None,
            },
            Err(failure) => Self {
                written: Written::default(),
                failure: Some(failure),
            },
        }
    }
}
