//! What a pipeline asks the main thread before it reads: where does the database say that it
//! stands? The answer may first want to know something that only the stream can tell.

use crate::batch::StreamId;
use crate::sequences::Sequences;
use row::Timestamp;
use tokio::sync::oneshot;

/// A pipeline's question to the main thread: where does the database say that I am?
#[derive(Debug)]
pub struct PositionRequest {
    /// The stream as it is now.
    pub stream_id: StreamId,
    /// First sequence that the stream still holds.
    pub first_sequence: u64,
    /// Last sequence of the stream.
    pub last_sequence: u64,
    /// The sequence that a time is in this stream, if [`PositionReply::LookUp`] asked for it.
    pub found: Option<TimeLookup>,
    /// The answer of the stream's leader, if [`PositionReply::Verify`] asked for it.
    pub verified: Option<(Witness, Testimony)>,
    /// Takes the reply.
    pub answer: oneshot::Sender<PositionReply>,
}

/// A time and the first sequence that was published then or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLookup {
    /// The time that was looked for.
    pub time: Timestamp,
    /// The sequence; one after the stream's last sequence if everything is older.
    pub sequence: u64,
}

/// A message that was read. A stream in which it is another one, or none, was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Sequence in the stream.
    pub sequence: u64,
    /// When the server took it from its publisher.
    pub published: Timestamp,
}

/// The answer of the stream's leader about a [`Witness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Testimony {
    /// It is there.
    Intact,
    /// It was removed, so it proves nothing.
    Gone,
    /// It never was: the stream was set back, and what it holds above this sequence is new.
    SetBack(u64),
}

/// The main thread's answer to a [`PositionRequest`].
#[derive(Debug)]
pub enum PositionReply {
    /// The recorded sequences.
    Position(Sequences),
    /// Only the stream knows: which sequence comes first at this time? Ask again with it.
    LookUp(Timestamp),
    /// Only the stream knows: is this message still what it was? Ask again with what it says.
    Verify(Witness),
}
