//! Settings of the NATS side: plain values that were validated when they were read.

use crate::stream_id::StreamId;
use crate::subject;
use async_nats::ServerAddr;
use async_nats::jetstream::stream;
use decode::{FormatRef, Window};
use row::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// The settings that all pipelines share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Server addresses. They are tried in random order, those that failed less often first.
    pub servers: Vec<ServerAddr>,
    /// How the worker logs in.
    pub authentication: Authentication,
    /// How the connection is encrypted, and the server identified.
    pub tls: Tls,
    /// Prefix of the subjects on which replies and messages arrive.
    pub inbox_prefix: String,
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

/// How the worker logs in to NATS. Secrets are in files, which are read for each attempt to
/// connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// It does not, or only with the client certificate of [`Tls`].
    #[default]
    None,
    /// With the JWT and the nkey of a user, both in one file.
    Credentials {
        /// The credentials file.
        file: PathBuf,
    },
    /// With the nkey of a user.
    Nkey {
        /// The file with its seed.
        seed_file: PathBuf,
    },
    /// With a user name and a password.
    Password {
        /// The user name.
        user: String,
        /// The file with the password.
        password_file: PathBuf,
    },
    /// With a token.
    Token {
        /// The file with the token.
        file: PathBuf,
    },
}

/// How the connection is encrypted, and both sides are identified. Files are in PEM format, and are
/// read for each attempt to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The file with the certificates of the authorities that the server's certificate may come
    /// from; `None` for those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// The certificate that identifies the worker.
    pub client: Option<ClientCertificate>,
    /// Whether TLS begins before the server has said anything.
    pub first: bool,
    /// The name that the server's certificate must have; `None` for the host of its address.
    pub server_name: Option<String>,
}

impl Tls {
    /// Returns whether any of it is set. Then each connection must use TLS.
    pub(crate) fn is_configured(&self) -> bool {
        *self != Self::default()
    }
}

/// The certificate that identifies the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The file with the certificate, and those of intermediate authorities after it.
    pub cert_file: PathBuf,
    /// The file with its private key.
    pub key_file: PathBuf,
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
