//! Client operations, the same for one server and for a cluster.

use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, consumer, stream};

use crate::wait;

/// Timeout of an operation. It is long, because a store with a million messages is read again at a
/// start.
pub(super) const WITHIN: Duration = Duration::from_secs(30);

/// Access to JetStream, of one server ([`super::Nats`]) or a cluster ([`super::Cluster`]).
#[derive(Debug, Clone)]
pub struct Access {
    servers: String,
    replicas: usize,
    options: ConnectOptions,
}

impl Access {
    /// Creates access through these servers (separated by commas). Streams are created with
    /// `replicas` replicas.
    pub fn new(servers: impl Into<String>, replicas: usize) -> Self {
        Self {
            servers: servers.into(),
            replicas,
            options: ConnectOptions::new(),
        }
    }

    /// Connects with these options.
    pub(super) fn with_options(self, options: ConnectOptions) -> Self {
        Self { options, ..self }
    }

    /// Returns host and port of each server.
    pub(super) fn addresses(&self) -> Vec<String> {
        let servers = self.servers.split(',');
        let servers = servers.map(|url| url.rsplit(['/', '@']).next().unwrap_or(url));
        servers.map(str::to_owned).collect()
    }

    /// Opens a new connection.
    pub async fn try_client(&self) -> Result<async_nats::Client, String> {
        let servers = self.servers.split(',').collect::<Vec<_>>();
        let options = self.options.clone();
        options
            .connect(servers)
            .await
            .map_err(|error| error.to_string())
    }

    /// Opens a new connection; panics on failure.
    pub async fn client(&self) -> async_nats::Client {
        wait::eventually(WITHIN, "a connection to NATS", async || {
            self.try_client().await
        })
        .await
    }

    /// Opens a new connection and returns its JetStream context.
    pub async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.client().await)
    }

    /// Creates a stream with file storage and no limits.
    pub async fn create_stream(&self, name: &str, subjects: &[&str]) {
        self.create_stream_keeping(name, subjects, stream::RetentionPolicy::Limits)
            .await;
    }

    /// Like [`Access::create_stream`], with a retention policy.
    pub async fn create_stream_keeping(
        &self,
        name: &str,
        subjects: &[&str],
        retention: stream::RetentionPolicy,
    ) {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
            num_replicas: self.replicas,
            retention,
            duplicate_window: Duration::from_secs(120),
            ..stream::Config::default()
        };
        let context = self.jetstream().await;
        // A cluster that has just elected its leader may need a second attempt.
        wait::eventually(WITHIN, format_args!("stream {name} is made"), async || {
            context.get_or_create_stream(config.clone()).await
        })
        .await;
    }

    /// Deletes a stream and its messages.
    pub async fn delete_stream(&self, name: &str) {
        let deleted = self.jetstream().await.delete_stream(name).await;
        deleted.unwrap_or_else(|error| panic!("delete stream {name}: {error}"));
    }

    /// Returns the stream's state.
    pub async fn stream_state(&self, stream: &str) -> stream::State {
        let found = self.jetstream().await.get_stream(stream).await;
        let found = found.unwrap_or_else(|error| panic!("look up stream {stream}: {error}"));
        found.cached_info().state.clone()
    }

    /// Returns the consumer's state, or an error if it does not exist or no server answers.
    pub async fn consumer(&self, stream: &str, name: &str) -> Result<consumer::Info, String> {
        let context = jetstream::new(self.try_client().await?);
        let stream = context.get_stream_no_info(stream).await;
        let stream = stream.map_err(|e| e.to_string())?;
        stream.consumer_info(name).await.map_err(|e| e.to_string())
    }
}
