//! The durable consumer of a pipeline: made when it is missing, kept in line with the settings,
//! and moved to where the database says the pipeline is.

use crate::batch;
use crate::consumer::spec::{self, ConsumerSpec, SESSION};
use crate::error::SessionError;
use crate::sequences::Sequences;
use crate::settings::{Pipeline, Settings};
use async_nats::jetstream::{
    consumer::{self, AckPolicy, Consumer, DeliverPolicy, FromConsumer, pull},
    context::ConsumerInfoErrorKind,
    stream::{self, ConsumerResetErrorKind, RetentionPolicy, Stream},
};
use async_nats::{Client, Subject};
use bytes::Bytes;
use std::time::Duration;

/// Deliveries the server lets be on their way at once, where it counts them. The byte budget is the
/// real bound; this only has to be out of its way.
const MAX_ACK_PENDING: i64 = 65_536;
/// No number of deliveries may lose a message.
const UNLIMITED: i64 = -1;

/// A consumer that is ready to be fetched from.
pub(crate) struct ReadyConsumer {
    pub(crate) consumer: Consumer<pull::Config>,
    /// Stream sequence behind which it stands: the next delivery is the first message after it.
    pub(crate) position: u64,
    /// How its messages are acknowledged.
    pub(crate) acks: batch::AckPolicy,
    /// The configuration that it has to keep, so that all of this holds.
    pub(crate) spec: ConsumerSpec,
}

/// Finds or makes the durable consumer and moves it to the first message that `position` lacks.
pub(crate) async fn prepare(
    client: &Client,
    stream: &Stream,
    pipeline: &Pipeline,
    settings: &Settings,
    position: &Sequences,
) -> Result<ReadyConsumer, SessionError> {
    let mut wanted = config(pipeline, settings, &stream.cached_info().config);
    // An inbox is a name that nobody else has.
    let session = client.new_inbox();
    wanted.metadata.insert(SESSION.to_owned(), session);
    let consumer = match find(stream, &pipeline.consumer_name(settings)).await? {
        Some(info) => update_existing(stream, info, &wanted).await?,
        None => stream.create_consumer(wanted).await?,
    };
    let before = before_first(stream, &consumer, position.floor());
    move_to(consumer, before).await
}

/// Moves a consumer on, if it is still what it was: the next delivery is the first message after
/// `last`.
pub(crate) async fn move_behind(
    before: ReadyConsumer,
    last: u64,
) -> Result<ReadyConsumer, SessionError> {
    let mut consumer = before.consumer;
    let info = consumer.info().await;
    let info = info.map_err(|error| SessionError::Consumer(error.into()))?;
    before.spec.check_unchanged(info)?;
    move_to(consumer, last).await
}

/// Acknowledges messages that the consumer has passed over, and waits until the server has taken
/// that.
///
/// It asks for the sequence alone, so whether it has sent a message does not matter: only what lies
/// before the consumer counts, and elsewhere nothing happens.
pub(crate) async fn acknowledge(
    client: &Client,
    consumer: &Consumer<pull::Config>,
    sequences: &[u64],
) -> Result<(), SessionError> {
    let Some((last, others)) = sequences.split_last() else {
        return Ok(());
    };
    let info = consumer.cached_info();
    let reply = |sequence| reply_for(&info.stream_name, &info.name, sequence);
    for &sequence in others {
        client.publish(reply(sequence), Bytes::new()).await?;
    }
    // They are taken in order.
    let taken = client.request(reply(*last), Bytes::new()).await;
    taken.map_err(|error| SessionError::Unacknowledged(error.into()))?;
    Ok(())
}

/// Returns the subject that takes the acknowledgement of a message, as if it had been delivered
/// once (ADR-15 of NATS); of the numbers behind the sequence none is looked at.
fn reply_for(stream: &str, consumer: &str, sequence: u64) -> Subject {
    Subject::from(format!("$JS.ACK.{stream}.{consumer}.1.{sequence}.1.0.0"))
}

/// Returns the configuration that the consumer is to have. A stream that keeps messages whatever
/// its consumers do needs no acknowledgements: where the pipeline stands is in the database, and
/// each session sets its consumer there. The server then has nothing to remember, to send again or
/// to wait for. The others drop what is acknowledged, and each message is acknowledged for itself:
/// a work queue knows nothing else, and to an interest stream the deletion of a message that is on
/// its way is an acknowledgement too, which must not stand for others.
fn config(pipeline: &Pipeline, settings: &Settings, stream: &stream::Config) -> pull::Config {
    let (ack_policy, ack_wait, max_ack_pending) = match stream.retention {
        RetentionPolicy::WorkQueue | RetentionPolicy::Interest => {
            (AckPolicy::Explicit, settings.ack_wait, MAX_ACK_PENDING)
        }
        RetentionPolicy::Limits => (AckPolicy::None, Duration::ZERO, 0),
    };
    let (filter_subject, filter_subjects) = match filters(pipeline, stream) {
        [one] => (one.clone(), Vec::new()),
        many => (String::new(), many.to_vec()),
    };
    pull::Config {
        durable_name: Some(pipeline.consumer_name(settings)),
        deliver_policy: DeliverPolicy::All,
        ack_policy,
        ack_wait,
        max_deliver: UNLIMITED,
        max_ack_pending,
        filter_subject,
        filter_subjects,
        ..pull::Config::default()
    }
}

/// Returns the filters of the consumer. Without one the server finds the next message for less, so
/// a pipeline that reads a whole stream has none. What nevertheless comes on another subject, of a
/// time when the stream took more or will take more, is passed over by the fetch. Where an
/// acknowledgement removes a message it would take it from other consumers.
fn filters<'a>(pipeline: &'a Pipeline, stream: &stream::Config) -> &'a [String] {
    match stream.retention {
        RetentionPolicy::Limits if pipeline.reads_all_of(stream) => &[],
        RetentionPolicy::Limits | RetentionPolicy::Interest | RetentionPolicy::WorkQueue => {
            &pipeline.subjects
        }
    }
}

async fn find(stream: &Stream, name: &str) -> Result<Option<consumer::Info>, SessionError> {
    match stream.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
        Err(error) => Err(SessionError::Consumer(error.into())),
    }
}

/// Applies changed settings to a consumer that exists. What cannot be changed is made anew where
/// that costs nothing, since the database knows where the pipeline stands; else it is refused by
/// name.
async fn update_existing(
    stream: &Stream,
    info: consumer::Info,
    wanted: &pull::Config,
) -> Result<Consumer<pull::Config>, SessionError> {
    let unfit = |problem| SessionError::ConsumerUnfit {
        consumer: info.name.clone(),
        problem,
    };
    let stream_config = &stream.cached_info().config;
    spec::refuse_paused(&info)?;
    let found = pull::Config::try_from_consumer_config(info.config.clone())
        .map_err(|_| unfit("is a push consumer"))?;
    spec::refuse_loss(stream_config, &info)?;
    match (spec::misfit(&found, wanted), stream_config.retention) {
        (None, _) => Ok(stream
            .update_consumer(spec::put_right(&found, wanted))
            .await?),
        (Some(_), RetentionPolicy::Limits) => {
            let deleted = stream.delete_consumer(&info.name).await;
            deleted.map_err(|error| SessionError::Consumer(error.into()))?;
            Ok(stream.create_consumer(wanted.clone()).await?)
        }
        (Some(problem), RetentionPolicy::Interest | RetentionPolicy::WorkQueue) => {
            Err(unfit(problem))
        }
    }
}

/// Returns the sequence after which to begin. A stream that keeps what is not acknowledged may hold
/// messages that were recorded before a crash kept their acknowledgement back; they have to come
/// once more.
fn before_first(stream: &Stream, consumer: &Consumer<pull::Config>, floor: u64) -> u64 {
    let info = stream.cached_info();
    let kept_after = match info.config.retention {
        RetentionPolicy::Limits => floor,
        RetentionPolicy::Interest => consumer.cached_info().ack_floor.stream_sequence,
        // Nobody else may read these messages, so all that are left are ours.
        RetentionPolicy::WorkQueue => info.state.first_sequence.saturating_sub(1),
    };
    floor.min(kept_after)
}

/// Makes the next delivery the first message after `floor`, and number 1 of the consumer.
///
/// This is done also when that is where it seems to be: what the consumer has passed over under
/// another filter does not show.
async fn move_to(
    mut consumer: Consumer<pull::Config>,
    floor: u64,
) -> Result<ReadyConsumer, SessionError> {
    let Err(refused) = consumer.reset(Some(floor + 1)).await else {
        let info = consumer.cached_info();
        return Ok(ReadyConsumer {
            spec: ConsumerSpec::of(info),
            position: floor,
            acks: match info.config.ack_policy {
                AckPolicy::None => batch::AckPolicy::None,
                AckPolicy::All | AckPolicy::Explicit | AckPolicy::FlowControl => {
                    batch::AckPolicy::Explicit
                }
            },
            consumer,
        });
    };
    Err(match refused.kind() {
        ConsumerResetErrorKind::InvalidReset => SessionError::ConsumerUnfit {
            consumer: consumer.cached_info().name.clone(),
            problem: "cannot be set back to where the database stands",
        },
        ConsumerResetErrorKind::TimedOut | ConsumerResetErrorKind::NotFound => {
            SessionError::ResetUnanswered(refused.into())
        }
        _ => SessionError::Consumer(refused.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::sequence_tracker::Delivery;

    #[test]
    fn an_acknowledgement_without_a_delivery_names_the_message() {
        let reply = reply_for("LOGS", "db-writer-logs", 42);
        assert_eq!(reply.as_str(), "$JS.ACK.LOGS.db-writer-logs.1.42.1.0.0");
        let delivery = Delivery::of(&reply).unwrap();
        assert_eq!((delivery.delivered, delivery.sequence), (1, 42));
    }
}
