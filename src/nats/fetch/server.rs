//! Requests of fetch to the server, other than pull requests: whether stream and consumer are
//! unchanged since the session began, and which messages the stream holds.

use crate::consumer::lookup;
use crate::consumer::spec::ConsumerSpec;
use crate::consumer::stored::StoredMessages;
use crate::error::SessionError;
use crate::resume::MessageIdentity;
use crate::settings::PipelineSettings;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use std::sync::Arc;

/// Counts of a consumer, from the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsumerCounts {
    /// Messages that have not been delivered yet.
    pub(crate) pending: u64,
    /// Messages that were delivered and not acknowledged.
    pub(crate) ack_pending: u64,
    /// Most messages that may be delivered and not acknowledged at a time; at this number the
    /// server sends no more.
    pub(crate) max_ack_pending: u64,
    /// Deliveries since the session has set the consumer to its position.
    pub(crate) deliveries: u64,
}

/// Answers the requests of a fetch: NATS in [`JetStream`], a script in the tests.
pub(crate) trait Server {
    /// Returns the last sequence of the stream. Fails if the pipeline read all subjects of the
    /// stream and the stream now takes more.
    async fn last_sequence(&self) -> Result<u64, SessionError>;

    /// Returns the counts of the consumer. Fails if the consumer was changed.
    async fn consumer(&self) -> Result<ConsumerCounts, SessionError>;

    /// Returns whether `first..=last` holds no message of this pipeline. Returns false if the
    /// server does not answer.
    async fn is_empty(&self, first: u64, last: u64) -> bool;

    /// Returns what distinguishes this message from a later one with the same sequence; `None` if
    /// it was removed.
    async fn identity(&self, sequence: u64) -> Result<Option<MessageIdentity>, SessionError>;

    /// Returns the header bytes of a message; `None` if it was removed.
    async fn headers(&self, sequence: u64) -> Result<Option<Bytes>, SessionError>;
}

/// The stream in NATS, and the pipeline's consumer.
pub(crate) struct JetStream {
    pub(crate) stream: Stream,
    pub(crate) consumer: Consumer<pull::Config>,
    /// The configuration that the consumer must keep.
    pub(crate) spec: ConsumerSpec,
    pub(crate) messages: StoredMessages,
    pub(crate) pipeline: Arc<PipelineSettings>,
    /// Set if the pipeline read all subjects of the stream when the session began.
    pub(crate) whole_stream: bool,
}

impl Server for JetStream {
    async fn last_sequence(&self) -> Result<u64, SessionError> {
        let info = self.stream.get_info().await?;
        lookup::refuse_leaderless(&info)?;
        // In such a stream, each sequence that is not delivered counts as removed. With other
        // subjects in it that would be wrong.
        if self.whole_stream && !self.pipeline.reads_all_of(&info.config) {
            return Err(SessionError::StreamChanged);
        }
        Ok(info.state.last_sequence)
    }

    async fn consumer(&self) -> Result<ConsumerCounts, SessionError> {
        let info = self.consumer.get_info().await;
        let info = info.map_err(|error| SessionError::Consumer(error.into()))?;
        self.spec.check_unchanged(&info)?;
        Ok(ConsumerCounts {
            pending: info.num_pending,
            ack_pending: info.num_ack_pending as u64,
            max_ack_pending: u64::try_from(info.config.max_ack_pending).unwrap_or(0),
            deliveries: info.delivered.consumer_sequence,
        })
    }

    async fn is_empty(&self, first: u64, last: u64) -> bool {
        lookup::is_empty(&self.messages, &self.pipeline.subjects, first, last).await
    }

    async fn identity(&self, sequence: u64) -> Result<Option<MessageIdentity>, SessionError> {
        lookup::identity(&self.messages, sequence).await
    }

    async fn headers(&self, sequence: u64) -> Result<Option<Bytes>, SessionError> {
        let stored = self.messages.get(sequence).await?;
        Ok(stored.map(|stored| stored.headers))
    }
}
