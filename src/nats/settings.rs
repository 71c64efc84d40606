//! Settings of the NATS side: plain values that were validated when they were read.

use crate::stream_id::StreamId;
use crate::subject;
use async_nats::ServerAddr;
use async_nats::jetstream::stream;
use decode::{FormatRef, Window};
use row::Timestamp;
use std::time::Duration;

/// The settings that all pipelines share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Server addresses. The client tries them in random order, those that failed less often first.
    pub servers: Vec<ServerAddr>,
    /// JetStream domain; `None` for the domain of the server.
    pub domain: Option<String>,
    /// Prefix of the durable consumers' names.
    pub consumer_prefix: String,
    /// First delay between attempts.
    pub retry_min: Duration,
    /// Longest delay between attempts.
    pub retry_max: Duration,
    /// Bytes that the messages of all pipelines may take in memory together.
    pub buffer_bytes: usize,
    /// Time without an acknowledgement after which the server sends a message again. Longer than
    /// any batch may take.
    pub ack_wait: Duration,
}

/// The settings of one pipeline: where its messages come from and how they become rows.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineSettings {
    /// Name in settings, SQL and logs, such as `otel_metrics`.
    pub name: String,
    /// Decoder of the payloads.
    pub format: FormatRef,
    /// JetStream stream; if `None`, it is found by the first subject.
    pub stream: Option<String>,
    /// Subject filters; at least one.
    pub subjects: Vec<String>,
    /// Messages with which a batch is ready.
    pub batch_size: usize,
    /// Time that the oldest message waits at most before its batch is ready.
    pub batch_timeout: Duration,
    /// Rows up to which a batch grows while the one before waits for the main thread.
    pub max_batch_rows: usize,
    /// Most messages per second; 0 means no limit.
    pub max_rate: u32,
    /// Longest time by which a row may lie before the publish time of its message; the decoder
    /// rejects older ones. `None` means no limit.
    pub max_age: Option<Duration>,
    /// Longest time by which a row may lie after the publish time of its message, in the same way.
    pub max_future: Option<Duration>,
}

impl PipelineSettings {
    /// Returns the name of the durable consumer: the prefix and the pipeline's name, with `-` in
    /// place of `_`.
    pub fn consumer_name(&self, settings: &Settings) -> String {
        format!(
            "{}-{}",
            settings.consumer_prefix,
            self.name.replace('_', "-")
        )
    }

    /// Returns whether it reads all subjects that the stream takes now.
    pub(crate) fn reads_all_of(&self, stream: &stream::Config) -> bool {
        stream.subjects == self.subjects
    }

    /// Returns whether one of its filters matches `subject`.
    pub(crate) fn reads(&self, subject: &str) -> bool {
        let mut filters = self.subjects.iter();
        filters.any(|filter| subject::matches(filter, subject))
    }

    /// Returns the decoder's input for a message: its origin, sequence, publish time and contents.
    pub(crate) fn input<'a>(
        &self,
        stream_id: &'a StreamId,
        (sequence, published): (u64, Timestamp),
        subject: &'a str,
        payload: &'a [u8],
    ) -> decode::Message<'a> {
        decode::Message {
            subject,
            payload,
            stream: &stream_id.name,
            sequence,
            published,
            window: self.window(published),
        }
    }

    /// Returns the range of times that the rows of a message published at `now` may have.
    pub fn window(&self, now: Timestamp) -> Window {
        let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        Window {
            oldest: self
                .max_age
                .map(|age| now.saturating_add_micros(-micros(age))),
            newest: self
                .max_future
                .map(|future| now.saturating_add_micros(micros(future))),
        }
    }
}
