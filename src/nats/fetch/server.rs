//! What a fetch asks the server beside messages: whether stream and consumer still are what they
//! were when the session began, and what the stream holds.

use crate::consumer::lookup;
use crate::consumer::spec::ConsumerSpec;
use crate::consumer::stored::StoredMessages;
use crate::error::SessionError;
use crate::resume::Witness;
use crate::settings::Pipeline;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use std::sync::Arc;

/// What the server counts for a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsumerCounts {
    /// Messages that were not delivered yet.
    pub(crate) pending: u64,
    /// Messages that were delivered and are not acknowledged.
    pub(crate) ack_pending: u64,
    /// Most messages that may be delivered and not acknowledged; the server then sends no more.
    pub(crate) max_ack_pending: u64,
    /// Deliveries since the session has set the consumer in place.
    pub(crate) deliveries: u64,
}

/// Answers a fetch. Of NATS in [`JetStream`], of a script in the tests.
pub(crate) trait Server {
    /// Returns the last sequence of the stream. Fails if all of it was ours and it now takes more.
    async fn last_sequence(&self) -> Result<u64, SessionError>;

    /// Returns what the server counts. Fails if the consumer is not what it was.
    async fn consumer(&self) -> Result<ConsumerCounts, SessionError>;

    /// Returns whether `first..=last` holds no message of this pipeline; false if that cannot be
    /// told.
    async fn is_empty(&self, first: u64, last: u64) -> bool;

    /// Returns what tells this message from a later one with its sequence, if it is there.
    async fn witness(&self, sequence: u64) -> Result<Option<Witness>, SessionError>;

    /// Returns the header bytes of a message, if it is there.
    async fn headers(&self, sequence: u64) -> Result<Option<Bytes>, SessionError>;
}

/// A stream of NATS and our consumer of it.
pub(crate) struct JetStream {
    pub(crate) stream: Stream,
    pub(crate) consumer: Consumer<pull::Config>,
    /// The consumer as it has to stay.
    pub(crate) spec: ConsumerSpec,
    pub(crate) messages: StoredMessages,
    pub(crate) pipeline: Arc<Pipeline>,
    /// The pipeline reads all subjects of the stream.
    pub(crate) whole_stream: bool,
}

impl Server for JetStream {
    async fn last_sequence(&self) -> Result<u64, SessionError> {
        let info = self.stream.get_info().await?;
        lookup::refuse_leaderless(&info)?;
        // What does not come of such a stream counts as removed.
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

    async fn witness(&self, sequence: u64) -> Result<Option<Witness>, SessionError> {
        lookup::witness(&self.messages, sequence).await
    }

    async fn headers(&self, sequence: u64) -> Result<Option<Bytes>, SessionError> {
        let stored = self.messages.get(sequence).await?;
        Ok(stored.map(|stored| stored.headers))
    }
}
