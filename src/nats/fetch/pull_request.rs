//! What a pull request asks for.

use crate::settings::{Pipeline, Settings};
use bytes::Bytes;
use std::time::Duration;

/// The server forgets a request after this long.
const EXPIRES: Duration = Duration::from_secs(30);
/// The server says that it is alive this often while there is nothing to send.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);
/// Messages of a request, at least: enough to keep the way to the server full.
const LEAST_MESSAGES: usize = 1_000;
/// Bytes of a request, at most, unless a single message needs more. What a link does not carry
/// within ten seconds makes the server cut it.
const USUAL_BYTES: usize = 1 << 20;
/// Protocol bytes that the server counts with a message.
const PROTOCOL_BYTES: usize = 64 << 10;

/// Messages and bytes of a request, or what is left of all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PullSize {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl PullSize {
    /// Returns what one of so many pipelines asks for at once: a part of the budget, and no more
    /// than a slow link brings in seconds; but always enough for the largest message, since the
    /// server answers a request that cannot hold the next message with an error, for ever.
    pub(crate) fn new(
        settings: &Settings,
        pipeline: &Pipeline,
        pipelines: usize,
        max_payload: usize,
    ) -> Self {
        let fair = settings.buffer_bytes / (4 * pipelines.max(1));
        Self {
            messages: LEAST_MESSAGES.max(pipeline.batch_size),
            bytes: fair.min(USUAL_BYTES).max(max_payload + PROTOCOL_BYTES),
        }
    }

    /// Returns whether no more of one of them is left than half of `whole`.
    pub(super) fn is_below_half_of(self, whole: Self) -> bool {
        self.messages <= whole.messages / 2 || self.bytes <= whole.bytes / 2
    }

    /// Adds a request.
    pub(super) fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }

    /// Takes away what has come, or will not come any more.
    pub(super) fn sub(&mut self, less: Self) {
        self.messages = self.messages.saturating_sub(less.messages);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

/// Returns a request as ADR-13 of NATS has it; times in nanoseconds.
pub(super) fn body(request: PullSize) -> Bytes {
    let PullSize { messages, bytes } = request;
    let (expires, heartbeat) = (EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
    Bytes::from(format!(
        r#"{{"batch":{messages},"max_bytes":{bytes},"expires":{expires},"idle_heartbeat":{heartbeat}}}"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: PullSize = PullSize {
        messages: 100,
        bytes: 1_000,
    };

    #[test]
    fn more_is_asked_for_when_half_of_the_messages_or_bytes_have_come() {
        for (messages, bytes, below) in [(51, 501, false), (50, 501, true), (51, 500, true)] {
            assert_eq!(PullSize { messages, bytes }.is_below_half_of(WHOLE), below);
        }
    }

    #[test]
    fn the_request_is_what_the_server_reads() {
        let expected =
            r#"{"batch":100,"max_bytes":1000,"expires":30000000000,"idle_heartbeat":5000000000}"#;
        assert_eq!(body(WHOLE), expected);
    }
}
