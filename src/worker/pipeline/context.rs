//! The input and the outcome of one turn of a pipeline: what its transactions share, and what they
//! did.

use crate::destination::Stdin;
use crate::pg::failure::Failure;
use crate::worker::poison::CrashJournal;
use nats::{DeadLetterMessage, Sequences, StreamId};
use std::time::Duration;

/// Resources that all writers of this process share.
pub struct WriteResources {
    /// Standard input, from which COPY reads.
    pub stdin: Stdin,
    /// Journal of the messages that are being written, read after a crash.
    pub crash_journal: CrashJournal,
}

/// The effect of one or more transactions.
#[derive(Debug, Default)]
pub struct Written {
    /// Messages recorded, dead letters included.
    pub messages: u64,
    /// Rows inserted or updated.
    pub rows: u64,
    /// Messages that became dead letters.
    pub dead_letters: Vec<DeadLetterMessage>,
}

impl Written {
    /// Returns whether at least one message did not become a dead letter.
    pub fn accepted_any(&self) -> bool {
        self.messages > self.dead_letters.len() as u64
    }

    /// Adds the effect of another transaction.
    pub fn add(&mut self, other: Written) {
        self.messages += other.messages;
        self.rows += other.rows;
        self.dead_letters.extend(other.dead_letters);
    }
}

/// Everything that all transactions of one turn of a pipeline share.
pub struct WriteContext<'a> {
    /// Stream that the messages come from.
    pub stream_id: &'a StreamId,
    /// Recorded sequences of that stream; updated after every commit.
    pub position: &'a mut Sequences,
    /// Resources of the process.
    pub resources: &'a mut WriteResources,
    /// Longest time of a transaction; it is cancelled after that.
    pub timeout: Duration,
}

/// The result of writing messages.
#[derive(Debug, Default)]
pub struct WriteOutcome {
    /// Everything that was committed.
    pub written: Written,
    /// The first failure that no row has caused. The messages that are not recorded have to be
    /// tried again.
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
