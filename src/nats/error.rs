//! Errors between a pipeline and its stream, with texts that an operator can act on.

use async_nats::client::{PublishError, SubscribeError};
use async_nats::jetstream::{
    context::{GetStreamByNameError, GetStreamError, RequestError},
    stream::{ConsumerError, ConsumerUpdateError},
};

/// The cause of a failed request: an error of the client with its own sources, or a text of the
/// server.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The reason why a session ended or could not start. The next session starts after a delay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("no JetStream stream has subject \"{subject}\"; create it, or set nats_stream")]
    NoStreamForSubject { subject: String },
    #[error("JetStream stream \"{stream}\" does not exist; create it, or correct nats_stream")]
    StreamMissing { stream: String },
    #[error("JetStream did not answer ({0}); is JetStream enabled for this account and domain?")]
    Api(#[source] BoxError),
    #[error("consumer \"{consumer}\" {problem}; delete it and it will be created again")]
    ConsumerIncompatible {
        consumer: String,
        problem: &'static str,
    },
    #[error("consumer \"{consumer}\" is paused in NATS; goes on when it is resumed there")]
    ConsumerPaused { consumer: String },
    #[error("the consumer was changed by somebody else; putting it right")]
    ConsumerChanged,
    #[error(
        "another writer uses consumer \"{consumer}\", so both start over again and again: each cluster needs its own sr_event_writer.consumer"
    )]
    ConsumerTaken { consumer: String },
    #[error("the consumer was moved by somebody else; setting it back")]
    ConsumerMoved,
    #[error(
        "the stream now drops what its consumers have read, and consumer \"{consumer}\" takes no acknowledgements: set the stream's retention back to limits, or delete the consumer, and it will be created again (of an interest stream that drops what is not written yet)"
    )]
    WouldDropMessages { consumer: String },
    #[error(
        "the consumer could not be set to the recorded position ({0}); does the stream's server run nats-server 2.14 or newer?"
    )]
    ResetUnanswered(#[source] BoxError),
    #[error("the stream has no leader, and nobody else knows what it holds")]
    Leaderless,
    #[error(
        "NATS server {server} is version {version}; sr_event_writer needs nats-server 2.14 or newer"
    )]
    ServerTooOld { server: String, version: String },
    #[error("the stream takes other subjects than before; starting over")]
    StreamChanged,
    #[error("consumer: {0}")]
    Consumer(#[source] BoxError),
    #[error("fetch: {0}")]
    Fetch(#[source] BoxError),
    #[error("NATS refuses to send messages ({0})")]
    Refused(String),
    #[error("fetch: missed idle heartbeat")]
    MissedHeartbeat,
    #[error("connection lost")]
    Disconnected,
    #[error("{0} messages were lost on the way; reading them again")]
    Lost(u64),
    #[error("{0} messages are waiting and none comes; asking again")]
    Stalled(u64),
    #[error("the recorded position could not be read")]
    NoPosition,
    #[error("what was read one by one was dropped before it was durable; reading it again")]
    Dropped,
    #[error("messages that are written could not be removed from the stream ({0})")]
    Unacknowledged(#[source] BoxError),
}

impl From<RequestError> for SessionError {
    fn from(error: RequestError) -> Self {
        Self::Api(error.into())
    }
}

impl From<GetStreamByNameError> for SessionError {
    fn from(error: GetStreamByNameError) -> Self {
        Self::Api(error.into())
    }
}

impl From<GetStreamError> for SessionError {
    fn from(error: GetStreamError) -> Self {
        Self::Api(error.into())
    }
}

impl From<ConsumerError> for SessionError {
    fn from(error: ConsumerError) -> Self {
        Self::Consumer(error.into())
    }
}

impl From<ConsumerUpdateError> for SessionError {
    fn from(error: ConsumerUpdateError) -> Self {
        Self::Consumer(error.into())
    }
}

impl From<SubscribeError> for SessionError {
    fn from(error: SubscribeError) -> Self {
        Self::Fetch(error.into())
    }
}

impl From<PublishError> for SessionError {
    fn from(error: PublishError) -> Self {
        Self::Fetch(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::client::{PublishError, PublishErrorKind};
    use std::error::Error;

    #[test]
    fn what_the_client_says_is_the_source_and_part_of_the_text() {
        let refused = || PublishError::new(PublishErrorKind::MaxPayloadExceeded);
        let error = SessionError::from(refused());
        assert_eq!(error.to_string(), format!("fetch: {}", refused()));
        let source = error.source().unwrap().downcast_ref::<PublishError>();
        assert_eq!(source.unwrap().kind(), PublishErrorKind::MaxPayloadExceeded);
    }
}
