//! Decides where a pipeline continues after it has (re)connected: compares the position in the
//! database with the messages that the stream holds, and performs a seek that an operator has
//! requested. Everything here runs inside a transaction of the caller.

mod reconcile;
mod seek;

pub use reconcile::reconcile;

use nats::{MessageIdentity, Sequences};
use row::Timestamp;

/// The reply to a session's request for its position.
pub enum ResumeDecision {
    /// Continue after this position.
    At(Sequences),
    /// First ask the stream for the sequence at this time.
    LookUp(Timestamp),
    /// First ask the stream whether it still holds this message.
    Verify(MessageIdentity),
}
