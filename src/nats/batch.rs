//! Decoded messages on their way to the database: what a fetch hands over and a transaction
//! writes.

use crate::budget::Reservation;
use crate::publish::ack::Receipt;
use crate::resume::Witness;
use crate::sequences::Sequences;
use crate::state::{Counted, PipelineState};
use crate::unreadable::headers::Headers;
use async_nats::Subject;
use bytes::Bytes;
use decode::{FormatRef, Reject};
use row::{RowSet, Timestamp};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Which stream a batch was read from. Its creation time tells it from an earlier or later stream
/// of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// Name of the JetStream stream.
    pub name: String,
    /// When the server created the stream.
    pub created: Timestamp,
}

/// How messages are acknowledged to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckPolicy {
    /// Each message for itself.
    Explicit,
    /// Not at all: the stream keeps messages whatever its consumers do, or the session acknowledges
    /// them itself.
    None,
}

/// Returns who has to know once the commit of these batches is durable. All their messages have to
/// be recorded: what is acknowledged is not sent again.
pub fn acks_for(recorded: &mut [Batch]) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for batch in recorded {
        if batch.acks == AckPolicy::Explicit {
            let replies = batch.messages.iter().map(|message| message.reply.clone());
            receipts.extend(replies.map(Receipt::Reply));
        }
        receipts.extend(batch.report.take().map(Receipt::Report));
    }
    receipts
}

/// One message; its rows are in the batch.
#[derive(Debug)]
pub struct Message {
    /// Sequence in the stream.
    pub sequence: u64,
    /// First of the sequences that writing this message settles: no other message of the pipeline
    /// lies in `settles_from..sequence`.
    pub settles_from: u64,
    /// How often the server has sent it, this time included.
    pub delivered: i64,
    /// When the server took it from its publisher.
    pub published: Timestamp,
    /// Subject it was published on.
    pub subject: Subject,
    /// Headers, if any.
    pub headers: Option<Headers>,
    /// Payload as published, kept until the commit for a dead letter.
    pub payload: Bytes,
    /// Subject that takes the acknowledgement.
    pub reply: Subject,
    /// Why there are no rows, if the message could not be decoded.
    pub reject: Option<Reject>,
}

impl Message {
    /// Returns what tells it from a message that gets its sequence after the stream was set back.
    pub fn witness(&self) -> Witness {
        Witness {
            sequence: self.sequence,
            published: self.published,
        }
    }
}

/// Sequences behind the last message that are known to hold no message of this pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// Somebody else's message that is the last of them, if it is there still.
    pub newest: Option<Witness>,
}

/// Messages of one pipeline with their rows, in order of arrival.
#[derive(Debug)]
pub struct Batch {
    /// The stream they came from.
    pub stream_id: Arc<StreamId>,
    /// How its messages are acknowledged.
    pub acks: AckPolicy,
    /// The pipeline reads all subjects of the stream, so a sequence that does not come is a message
    /// that is gone.
    pub whole_stream: bool,
    /// The messages.
    pub messages: Vec<Message>,
    rows: RowSet,
    /// For each message, for each table: number of rows up to and including this message.
    ends: Vec<usize>,
    /// Messages that this process has committed; those of the others that are recorded are
    /// duplicates.
    committed: usize,
    payload_bytes: usize,
    /// Bytes of headers and payloads in memory.
    size: usize,
    tail: Option<Tail>,
    /// Tells the session that all of it is durable.
    report: Option<oneshot::Sender<()>>,
    reservation: Option<Reservation>,
    counted: Counted,
}

impl Batch {
    /// Makes a batch without messages.
    pub fn new(
        stream_id: Arc<StreamId>,
        acks: AckPolicy,
        whole_stream: bool,
        format: &FormatRef,
        state: Arc<PipelineState>,
    ) -> Self {
        Self {
            stream_id,
            acks,
            whole_stream,
            messages: Vec::new(),
            rows: RowSet::new(format.tables()),
            ends: Vec::new(),
            committed: 0,
            payload_bytes: 0,
            size: 0,
            tail: None,
            report: None,
            reservation: None,
            counted: Counted::none(state),
        }
    }

    /// Makes an empty batch for what comes next.
    pub(crate) fn successor(&self) -> Self {
        Self {
            stream_id: self.stream_id.clone(),
            messages: Vec::new(),
            rows: self.rows.successor(),
            ends: Vec::new(),
            committed: 0,
            payload_bytes: 0,
            size: 0,
            tail: None,
            report: None,
            reservation: None,
            counted: self.counted.successor(),
            ..*self
        }
    }

    /// Appends a message of `size` bytes, headers and payload, after its rows were appended to
    /// [`Batch::rows_mut`].
    pub(crate) fn push(&mut self, message: Message, size: usize, reservation: Reservation) {
        self.payload_bytes += message.payload.len();
        self.size += size;
        self.messages.push(message);
        self.counted.add_one();
        self.ends
            .extend(self.rows.tables().iter().map(row::Rows::len));
        self.charge(reservation);
    }

    /// Holds a further part of the byte budget until the batch is dropped.
    pub(crate) fn charge(&mut self, reservation: Reservation) {
        match &mut self.reservation {
            Some(mine) => mine.merge(reservation),
            None => self.reservation = Some(reservation),
        }
    }

    /// Returns the rows of all messages.
    pub fn rows(&self) -> &RowSet {
        &self.rows
    }

    /// Returns the rows to append those of the next message to.
    pub fn rows_mut(&mut self) -> &mut RowSet {
        &mut self.rows
    }

    /// Returns which rows of table number `table` the messages `messages` became.
    pub fn rows_of(&self, messages: &Range<usize>, table: usize) -> Range<usize> {
        let tables = self.rows.tables().len();
        let end_of = |count: usize| match count.checked_sub(1) {
            Some(message) => self
                .ends
                .get(message * tables + table)
                .copied()
                .unwrap_or(0),
            None => 0,
        };
        end_of(messages.start)..end_of(messages.end)
    }

    /// Records that the stream holds nothing for this pipeline there.
    pub(crate) fn set_tail(&mut self, tail: Tail) {
        self.tail = Some(tail);
    }

    /// Returns the sequences behind the last message that are known to hold no message of this
    /// pipeline.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// Lets the session know when all of it is durable.
    pub(crate) fn report_to(&mut self, report: oneshot::Sender<()>) {
        self.report = Some(report);
    }

    /// Records that `messages` more of its messages are committed.
    pub fn add_committed(&mut self, messages: usize) {
        self.committed += messages;
    }

    /// Returns whether `position` has all of its messages.
    pub fn is_recorded(&self, position: &Sequences) -> bool {
        let mut messages = self.messages.iter();
        messages.all(|message| position.contains(message.sequence))
    }

    /// Counts the messages of a recorded batch that were recorded already when they came.
    pub fn duplicates(&self) -> usize {
        self.len().saturating_sub(self.committed)
    }

    /// Returns the publish time of its last message.
    pub fn last_published(&self) -> Option<Timestamp> {
        self.messages.last().map(|message| message.published)
    }

    /// Counts the messages.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns what it counts for in a transaction, in rows or messages, whichever are more: an
    /// array message may be many rows, a dead letter is none.
    pub fn weight(&self) -> usize {
        self.len().max(self.rows.len())
    }

    /// Returns whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns the bytes that its messages and their rows take in memory.
    pub fn size(&self) -> usize {
        self.size + self.rows.size()
    }

    /// Returns the payload bytes of all messages.
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }
}

#[cfg(test)]
mod tests;
