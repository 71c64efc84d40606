//! The size and the body of a pull request.

use crate::settings::{PipelineSettings, Settings};
use bytes::Bytes;
use std::time::Duration;

/// Time after which the server drops a request.
const EXPIRES: Duration = Duration::from_secs(30);
/// Interval of the server's heartbeats while it has no message to send.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);
/// Fewest messages that a request asks for: enough to use the network's bandwidth.
const MIN_MESSAGES: usize = 1_000;
/// Most bytes that a request asks for, unless a single message needs more. A slow network must
/// carry them within ten seconds, or the server closes the connection.
const USUAL_BYTES: usize = 1 << 20;
/// Protocol bytes that the server counts as part of a message.
const PROTOCOL_BYTES: usize = 64 << 10;

/// Messages and bytes of a request, or what is outstanding of all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PullSize {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl PullSize {
    /// Returns the size of one request when `pipelines` pipelines share the budget: a part of the
    /// budget, and no more than a slow network carries within seconds. But it is always enough for
    /// the largest message, because the server refuses a request that cannot hold the next message,
    /// again and again.
    pub(crate) fn new(
        settings: &Settings,
        pipeline: &PipelineSettings,
        pipelines: usize,
        max_payload: usize,
    ) -> Self {
        let fair = settings.buffer_bytes / (4 * pipelines.max(1));
        Self {
            messages: MIN_MESSAGES.max(pipeline.batch_size),
            bytes: fair.min(USUAL_BYTES).max(max_payload + PROTOCOL_BYTES),
        }
    }

    /// Returns whether the messages or the bytes are at most half of those of `request`.
    pub(super) fn is_below_half_of(self, request: Self) -> bool {
        self.messages <= request.messages / 2 || self.bytes <= request.bytes / 2
    }

    /// Adds a request that was sent.
    pub(super) fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }

    /// Subtracts what has come, or will not come any more.
    pub(super) fn sub(&mut self, less: Self) {
        self.messages = self.messages.saturating_sub(less.messages);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

/// Returns the body of a request (ADR-13 of NATS); its times are in nanoseconds.
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
