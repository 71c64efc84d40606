//! Settings of the NATS side: plain values, already validated by whoever read the settings.

use crate::batch::StreamId;
use crate::subject;
use async_nats::ServerAddr;
use async_nats::jetstream::stream;
use decode::{FormatRef, Window};
use row::Timestamp;
use std::time::Duration;

/// Settings that all pipelines share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Server addresses, tried in order.
    pub servers: Vec<ServerAddr>,
    /// JetStream domain, if not the server's own.
    pub domain: Option<String>,
    /// Prefix of the durable consumers' names.
    pub consumer_prefix: String,
    /// First delay between tries.
    pub retry_min: Duration,
    /// Longest delay between tries.
    pub retry_max: Duration,
    /// Bytes of messages in memory, all pipelines together.
    pub buffer_bytes: usize,
    /// How long a message may be on its way before the server sends it again. Longer than any
    /// batch may take.
    pub ack_wait: Duration,
}

/// One pipeline: where its messages come from and how they become rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Name in settings, SQL and logs, such as `otel_metrics`.
    pub name: String,
    /// Decoder of the payloads.
    pub format: FormatRef,
    /// JetStream stream; found by subject when not given.
    pub stream: Option<String>,
    /// Subject filters; at least one.
    pub subjects: Vec<String>,
    /// A batch is handed on when it has this many messages …
    pub batch_size: usize,
    /// … or when its oldest message has waited this long …
    pub batch_timeout: Duration,
    /// … but while the one before it waits for the database it grows, up to this many rows.
    pub max_batch_rows: usize,
    /// Messages per second; 0 means as many as come.
    pub max_rate: u32,
    /// Age of a row's time stamp at arrival above which the message is refused.
    pub max_age: Option<Duration>,
    /// How far in the future a row's time stamp may lie.
    pub max_future: Option<Duration>,
}

impl Pipeline {
    /// Returns the name of the durable consumer: the prefix and the pipeline's name with `_` as
    /// `-`.
    pub fn consumer_name(&self, settings: &Settings) -> String {
        format!(
            "{}-{}",
            settings.consumer_prefix,
            self.name.replace('_', "-")
        )
    }

    /// Returns whether it reads everything that a stream now takes.
    pub(crate) fn reads_all_of(&self, stream: &stream::Config) -> bool {
        stream.subjects == self.subjects
    }

    /// Returns whether it reads what was published on `subject`.
    pub(crate) fn reads(&self, subject: &str) -> bool {
        let mut filters = self.subjects.iter();
        filters.any(|filter| subject::matches(filter, subject))
    }

    /// Returns what the decoder is given for a message: where it is from, its sequence and time,
    /// its contents.
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

    /// Returns the times that the rows of a message may carry that was published at `now`.
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
