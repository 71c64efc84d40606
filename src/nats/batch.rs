//! Batches of decoded messages: fetch builds them, the main thread writes them in transactions.

use crate::budget::Reservation;
use crate::publish::ack::Receipt;
use crate::resume::MessageIdentity;
use crate::sequences::Sequences;
use crate::state::{InMemoryCount, PipelineState};
use crate::stream_id::StreamId;
use crate::unreadable::headers::Headers;
use async_nats::Subject;
use bytes::Bytes;
use decode::{FormatRef, Reject};
use row::{RowSet, Timestamp};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The way in which the messages of a batch are acknowledged to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// Each message individually.
    Explicit,
    /// Not at all: the stream keeps messages whatever its consumers do, or the session sends the
    /// acknowledgements itself.
    None,
}

/// Returns the receipts to send once the commit of these batches is durable. All their messages
/// have to be recorded, because an acknowledged message is not sent again.
pub fn receipts_for(recorded: &mut [Batch]) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for batch in recorded {
        if batch.ack_mode == AckMode::Explicit {
            let replies = batch.messages.iter().map(|message| message.reply.clone());
            receipts.extend(replies.map(Receipt::Reply));
        }
        receipts.extend(batch.report.take().map(Receipt::Report));
    }
    receipts
}

/// A message of the pipeline; its rows are in the batch.
#[derive(Debug)]
pub struct FetchedMessage {
    /// Sequence in the stream.
    pub sequence: u64,
    /// First sequence that this message accounts for: `accounts_from..sequence` holds no other
    /// message of the pipeline.
    pub accounts_from: u64,
    /// Number of times that the server has sent it, including this one.
    pub delivery_count: i64,
    /// When the server received it from its publisher.
    pub published: Timestamp,
    /// Subject it was published on.
    pub subject: Subject,
    /// Headers, if any.
    pub headers: Option<Headers>,
    /// Payload as published; kept until the commit, because a dead letter needs it.
    pub payload: Bytes,
    /// Subject that takes the acknowledgement.
    pub reply: Subject,
    /// Why the message has no rows, if it could not be decoded.
    pub reject: Option<Reject>,
}

impl FetchedMessage {
    /// Returns what distinguishes it from a message that gets the same sequence after the stream
    /// was set back.
    pub fn identity(&self) -> MessageIdentity {
        MessageIdentity {
            sequence: self.sequence,
            published: self.published,
        }
    }
}

/// A range of sequences behind the last message that holds no message of this pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The first sequence of the range.
    pub first: u64,
    /// The last sequence of the range.
    pub last: u64,
    /// The message at `last`, which is of no concern to the pipeline; `None` if it was removed.
    pub newest: Option<MessageIdentity>,
}

/// Messages of one pipeline with their rows, in the order in which they were delivered.
#[derive(Debug)]
pub struct Batch {
    /// The stream they came from.
    pub stream_id: Arc<StreamId>,
    /// The way in which its messages are acknowledged.
    pub ack_mode: AckMode,
    /// Set if the pipeline reads all subjects of the stream. Then a sequence that is never
    /// delivered belongs to a deleted message.
    pub whole_stream: bool,
    /// The messages.
    pub messages: Vec<FetchedMessage>,
    rows: RowSet,
    /// Number of rows up to and including each message, for each table.
    row_ends: Vec<usize>,
    /// Number of messages that this process has committed. All other messages that turn out to be
    /// recorded are duplicates.
    committed: usize,
    payload_bytes: usize,
    /// Bytes of headers and payloads in memory.
    message_bytes: usize,
    tail: Option<Tail>,
    /// Tells the session that all messages are durable.
    report: Option<oneshot::Sender<()>>,
    reservation: Option<Reservation>,
    in_memory_count: InMemoryCount,
}

impl Batch {
    /// Creates a batch without messages.
    pub fn new(
        stream_id: Arc<StreamId>,
        ack_mode: AckMode,
        whole_stream: bool,
        format: &FormatRef,
        state: Arc<PipelineState>,
    ) -> Self {
        let rows = RowSet::new(format.tables());
        let count = InMemoryCount::none(state);
        Self::empty(stream_id, ack_mode, whole_stream, rows, count)
    }

    /// Creates an empty batch of the same pipeline, to be filled next.
    pub(crate) fn successor(&self) -> Self {
        Self::empty(
            self.stream_id.clone(),
            self.ack_mode,
            self.whole_stream,
            self.rows.successor(),
            self.in_memory_count.successor(),
        )
    }

    /// Creates a batch without messages from the parts that depend on its pipeline.
    fn empty(
        stream_id: Arc<StreamId>,
        ack_mode: AckMode,
        whole_stream: bool,
        rows: RowSet,
        in_memory_count: InMemoryCount,
    ) -> Self {
        Self {
            stream_id,
            ack_mode,
            whole_stream,
            messages: Vec::new(),
            rows,
            row_ends: Vec::new(),
            committed: 0,
            payload_bytes: 0,
            message_bytes: 0,
            tail: None,
            report: None,
            reservation: None,
            in_memory_count,
        }
    }

    /// Appends a message whose headers and payload take `size` bytes. Its rows must already have
    /// been appended to [`Batch::rows_mut`].
    pub(crate) fn push(&mut self, message: FetchedMessage, size: usize, reservation: Reservation) {
        self.payload_bytes += message.payload.len();
        self.message_bytes += size;
        self.messages.push(message);
        self.in_memory_count.add_one();
        self.row_ends
            .extend(self.rows.tables().iter().map(row::Rows::len));
        self.add_reservation(reservation);
    }

    /// Adds a reservation of the byte budget, which is held until the batch is dropped.
    pub(crate) fn add_reservation(&mut self, reservation: Reservation) {
        match &mut self.reservation {
            Some(mine) => mine.merge(reservation),
            None => self.reservation = Some(reservation),
        }
    }

    /// Returns the rows of all messages.
    pub fn rows(&self) -> &RowSet {
        &self.rows
    }

    /// Returns the rows for appending. The rows of a message are appended before the message
    /// itself.
    pub fn rows_mut(&mut self) -> &mut RowSet {
        &mut self.rows
    }

    /// Returns which rows of table number `table` belong to the messages with these indexes.
    pub fn rows_of(&self, messages: &Range<usize>, table: usize) -> Range<usize> {
        let tables = self.rows.tables().len();
        let end_of = |count: usize| match count.checked_sub(1) {
            Some(message) => self
                .row_ends
                .get(message * tables + table)
                .copied()
                .unwrap_or(0),
            None => 0,
        };
        end_of(messages.start)..end_of(messages.end)
    }

    /// Records that this range holds no message of the pipeline.
    pub(crate) fn set_tail(&mut self, tail: Tail) {
        self.tail = Some(tail);
    }

    /// Returns the range behind the last message that holds no message of this pipeline, if there
    /// is one.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// Sets the channel on which the session learns that the whole batch is durable.
    pub(crate) fn report_to(&mut self, report: oneshot::Sender<()>) {
        self.report = Some(report);
    }

    /// Records that `messages` more messages of this batch are committed.
    pub fn add_committed(&mut self, messages: usize) {
        self.committed += messages;
    }

    /// Returns whether `position` contains all its messages.
    pub fn is_recorded(&self, position: &Sequences) -> bool {
        let mut messages = self.messages.iter();
        messages.all(|message| position.contains(message.sequence))
    }

    /// Returns the number of duplicates in a recorded batch: messages that were already recorded
    /// when they were delivered.
    pub fn duplicates(&self) -> usize {
        self.len().saturating_sub(self.committed)
    }

    /// Returns the publish time of its last message; `None` without a message.
    pub fn last_published(&self) -> Option<Timestamp> {
        self.messages.last().map(|message| message.published)
    }

    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns how much of a transaction it fills: the number of its rows or of its messages,
    /// whichever is larger. A message that is an array may give many rows, and a dead letter gives
    /// none.
    pub fn weight(&self) -> usize {
        self.len().max(self.rows.len())
    }

    /// Returns whether it has no messages.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns the bytes that its messages and their rows take in memory.
    pub fn bytes(&self) -> usize {
        self.message_bytes + self.rows.size()
    }

    /// Returns the bytes of all payloads.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }
}

#[cfg(test)]
mod tests;
