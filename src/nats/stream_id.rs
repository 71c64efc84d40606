//! Identifies the stream that a batch and a position belong to.

use row::Timestamp;

/// Identifies an incarnation of a stream: the creation time distinguishes it from earlier and later
/// streams of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// Name of the JetStream stream.
    pub name: String,
    /// When the server created the stream.
    pub created: Timestamp,
}
