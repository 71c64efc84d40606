//! Where a pipeline goes on after it has (re)connected: what the database has recorded, compared
//! with what the stream holds, and moved where an operator wants it. Inside a transaction of the
//! caller.

mod reconcile;
mod seek;

pub use reconcile::reconcile;

use nats::{Sequences, Witness};
use row::Timestamp;

/// What the NATS side is answered.
pub enum Outcome {
    /// Go on after this position.
    At(Sequences),
    /// The stream has to be asked which sequence this time is.
    LookUp(Timestamp),
    /// The stream has to be asked whether this message is still what it was.
    Verify(Witness),
}
