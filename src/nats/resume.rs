//! The request for a pipeline's position, which a session sends to the main thread before it reads,
//! and the replies. Before the main thread can reply with the position, it may need information
//! that only the stream has.

use crate::sequences::Sequences;
use crate::stream_id::StreamId;
use row::Timestamp;
use tokio::sync::oneshot;

/// A session's request for the position of its pipeline in the database.
#[derive(Debug)]
pub struct PositionRequest {
    /// The stream, in its current incarnation.
    pub stream_id: StreamId,
    /// First sequence that the stream still holds.
    pub first_sequence: u64,
    /// Last sequence of the stream.
    pub last_sequence: u64,
    /// The result of the lookup, if [`PositionReply::LookUp`] asked for it.
    pub found: Option<TimeLookup>,
    /// The answer of the stream's leader, if [`PositionReply::Verify`] asked for it.
    pub verified: Option<(MessageIdentity, VerifyResult)>,
    /// Sends the reply to the session.
    pub reply: oneshot::Sender<PositionReply>,
}

/// A time, and the first sequence that was published then or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLookup {
    /// The time that was looked up.
    pub time: Timestamp,
    /// The first sequence published then; the one after the stream's last sequence if all are
    /// older.
    pub sequence: u64,
}

/// What identifies a message that was read. If the stream has another message or none with its
/// sequence, it was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageIdentity {
    /// Sequence in the stream.
    pub sequence: u64,
    /// When the server received it from its publisher.
    pub published: Timestamp,
}

/// The answer of the stream's leader about a [`MessageIdentity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyResult {
    /// The stream holds the message.
    Intact,
    /// The message was removed, which says nothing about whether the stream was set back.
    Gone,
    /// The stream never had the message, so it was set back: messages above this sequence are new.
    SetBack(u64),
}

/// The main thread's reply to a [`PositionRequest`].
#[derive(Debug)]
pub enum PositionReply {
    /// The recorded sequences.
    Position(Sequences),
    /// The request must be sent again with the first sequence that was published at this time.
    LookUp(Timestamp),
    /// The request must be sent again with the leader's answer about this message.
    Verify(MessageIdentity),
}
