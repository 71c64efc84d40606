//! The input of a decoder. A message contains everything that its rows may depend on.

use row::Timestamp;

/// A message of a stream: those parts that its rows may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The subject that it was published on.
    pub subject: &'a str,
    /// The bytes to decode.
    pub payload: &'a [u8],
    /// The name of the stream that stores it.
    pub stream: &'a str,
    /// Its sequence in that stream.
    pub sequence: u64,
    /// The time at which the stream stored it. It is used as the current time, because a redelivery
    /// must give the same row.
    pub published: Timestamp,
    /// The times that its rows may have.
    pub window: Window,
}

/// The range of times that is accepted in a row's time column. It prevents that one wrong clock
/// creates chunks for arbitrary times. Both ends are inclusive; the default accepts every time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Rows before this time are rejected.
    pub oldest: Option<Timestamp>,
    /// Rows after this time are rejected.
    pub newest: Option<Timestamp>,
}

impl Window {
    /// Returns the reason why a row of this time is not accepted, or `None` if it is.
    pub(crate) fn objection(&self, time: Timestamp) -> Option<&'static str> {
        if self.oldest.is_some_and(|oldest| time < oldest) {
            Some("older than the oldest time accepted")
        } else if self.newest.is_some_and(|newest| time > newest) {
            Some("newer than the newest time accepted")
        } else {
            None
        }
    }
}
