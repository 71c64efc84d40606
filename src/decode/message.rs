//! What a decoder is given. A message holds everything that its rows may depend on.

use row::Timestamp;

/// One message of a stream, as far as its rows depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Subject it was published on.
    pub subject: &'a str,
    /// The bytes to decode.
    pub payload: &'a [u8],
    /// Name of the stream that stores it.
    pub stream: &'a str,
    /// Its number in that stream.
    pub sequence: u64,
    /// When the stream stored it. Stands for "now", because a redelivery must give the same row.
    pub published: Timestamp,
    /// Times that its rows may carry.
    pub window: Window,
}

/// Limits for a row's time column, so that one wrong clock does not create chunks all over the
/// calendar. Both ends are allowed values; the default has no limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Rows before this time are rejected.
    pub oldest: Option<Timestamp>,
    /// Rows after this time are rejected.
    pub newest: Option<Timestamp>,
}

impl Window {
    /// Whether every time is accepted.
    pub(crate) fn is_open(&self) -> bool {
        self.oldest.is_none() && self.newest.is_none()
    }

    /// Why a row of this time is not accepted, if it is not.
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
