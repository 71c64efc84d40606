//! Prepares the durable consumer of a pipeline: creates it if it does not exist, applies changed
//! settings, and sets it to the pipeline's position in the database.

use crate::batch::AckMode;
use crate::consumer::spec::{self, ConsumerSpec, SESSION};
use crate::error::SessionError;
use crate::sequences::Sequences;
use crate::settings::{PipelineSettings, Settings};
use async_nats::jetstream::{
    consumer::{self, AckPolicy, Consumer, DeliverPolicy, FromConsumer, pull},
    context::ConsumerInfoErrorKind,
    stream::{self, ConsumerResetErrorKind, RetentionPolicy, Stream},
};
use async_nats::{Client, Subject};
use bytes::Bytes;
use std::time::Duration;

/// Most deliveries that may be unacknowledged, where the server counts them. The byte budget is the
/// real bound; this number only has to be large enough not to matter.
const MAX_ACK_PENDING: i64 = 65_536;
/// No limit on the deliveries of a message, since the server would give up a message at the limit.
const UNLIMITED: i64 = -1;

/// A consumer that is ready to be fetched from.
pub(crate) struct ReadyConsumer {
    pub(crate) consumer: Consumer<pull::Config>,
    /// Stream sequence behind which it stands: the next delivery is the first message after it.
    pub(crate) position: u64,
    /// The way in which its messages are acknowledged.
    pub(crate) ack_mode: AckMode,
    /// The configuration that the consumer must keep.
    pub(crate) spec: ConsumerSpec,
}

/// Finds or creates the durable consumer, and sets it to the first message that `position` lacks.
pub(crate) async fn prepare(
    client: &Client,
    stream: &Stream,
    pipeline: &PipelineSettings,
    settings: &Settings,
    position: &Sequences,
) -> Result<ReadyConsumer, SessionError> {
    let mut wanted = config(pipeline, settings, &stream.cached_info().config);
    // The name of an inbox is unique.
    let session = client.new_inbox();
    wanted.metadata.insert(SESSION.to_owned(), session);
    let consumer = match find(stream, &pipeline.consumer_name(settings)).await? {
        Some(info) => update_existing(stream, info, &wanted).await?,
        None => stream.create_consumer(wanted).await?,
    };
    let position = start_position(stream, &consumer, position.floor());
    reset_behind(consumer, position).await
}

/// Sets a consumer behind `last`, if it is unchanged: the next delivery is the first message after
/// that sequence.
pub(crate) async fn reset_behind_if_unchanged(
    before: ReadyConsumer,
    last: u64,
) -> Result<ReadyConsumer, SessionError> {
    let mut consumer = before.consumer;
    let info = consumer.info().await;
    let info = info.map_err(|error| SessionError::Consumer(error.into()))?;
    before.spec.check_unchanged(info)?;
    reset_behind(consumer, last).await
}

/// Acknowledges messages that the consumer has skipped, and waits until the server has processed
/// that.
///
/// The server looks only at the sequence, so it does not matter whether the message was delivered:
/// an acknowledgement has an effect for messages before the consumer's position, and none for
/// others.
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
    // The server processes them in order.
    let taken = client.request(reply(*last), Bytes::new()).await;
    taken.map_err(|error| SessionError::Unacknowledged(error.into()))?;
    Ok(())
}

/// Returns the reply subject that acknowledges a message, as if it had been delivered once (ADR-15
/// of NATS). The server ignores the numbers after the sequence.
fn reply_for(stream: &str, consumer: &str, sequence: u64) -> Subject {
    Subject::from(format!("$JS.ACK.{stream}.{consumer}.1.{sequence}.1.0.0"))
}

/// Returns the configuration that the consumer must have.
///
/// A stream that keeps messages whatever its consumers do needs no acknowledgements: the position
/// is in the database, and each session sets its consumer to it. The server then has nothing to
/// remember, to send again or to wait for. Other streams drop acknowledged messages, and there each
/// message is acknowledged individually. A work queue permits nothing else. On an interest stream,
/// the deletion of a message that is being delivered counts as its acknowledgement, and must not
/// count for other messages.
fn config(
    pipeline: &PipelineSettings,
    settings: &Settings,
    stream: &stream::Config,
) -> pull::Config {
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

/// Returns the filters of the consumer. Without a filter the server finds the next message at lower
/// cost, so a pipeline that reads all subjects of its stream has none. Messages of other subjects,
/// which the stream took earlier or will take later, are delivered too, and fetch skips them. Where
/// an acknowledgement removes the message, the consumer always has a filter: to acknowledge such a
/// message would take it from other consumers.
fn filters<'a>(pipeline: &'a PipelineSettings, stream: &stream::Config) -> &'a [String] {
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

/// Applies changed settings to an existing consumer. If one cannot be changed, the consumer is
/// created again where that loses nothing, because the database has the position. On other streams
/// the consumer is refused, with the reason.
async fn update_existing(
    stream: &Stream,
    info: consumer::Info,
    wanted: &pull::Config,
) -> Result<Consumer<pull::Config>, SessionError> {
    let incompatible = |problem| SessionError::ConsumerIncompatible {
        consumer: info.name.clone(),
        problem,
    };
    let stream_config = &stream.cached_info().config;
    spec::refuse_paused(&info)?;
    let found = pull::Config::try_from_consumer_config(info.config.clone())
        .map_err(|_| incompatible("is a push consumer"))?;
    spec::refuse_message_loss(stream_config, &info)?;
    match (
        spec::incompatibility(&found, wanted),
        stream_config.retention,
    ) {
        (None, _) => Ok(stream
            .update_consumer(spec::merge_config(&found, wanted))
            .await?),
        (Some(_), RetentionPolicy::Limits) => {
            let deleted = stream.delete_consumer(&info.name).await;
            deleted.map_err(|error| SessionError::Consumer(error.into()))?;
            Ok(stream.create_consumer(wanted.clone()).await?)
        }
        (Some(problem), RetentionPolicy::Interest | RetentionPolicy::WorkQueue) => {
            Err(incompatible(problem))
        }
    }
}

/// Returns the sequence behind which to set the consumer. A stream that drops acknowledged messages
/// may still hold some that were recorded, if a crash prevented their acknowledgement; they must be
/// delivered once more.
fn start_position(stream: &Stream, consumer: &Consumer<pull::Config>, floor: u64) -> u64 {
    let info = stream.cached_info();
    let kept_after = match info.config.retention {
        RetentionPolicy::Limits => floor,
        RetentionPolicy::Interest => consumer.cached_info().ack_floor.stream_sequence,
        // Nobody else may read these messages, so all that are left are the pipeline's.
        RetentionPolicy::WorkQueue => info.state.first_sequence.saturating_sub(1),
    };
    floor.min(kept_after)
}

/// Sets the consumer so that its next delivery is the first message after `position`, with
/// delivery number 1.
///
/// This is done even if the consumer seems to be there already, because it does not show which
/// messages it has skipped while it had another filter.
async fn reset_behind(
    mut consumer: Consumer<pull::Config>,
    position: u64,
) -> Result<ReadyConsumer, SessionError> {
    let Err(refused) = consumer.reset(Some(position + 1)).await else {
        let info = consumer.cached_info();
        return Ok(ReadyConsumer {
            spec: ConsumerSpec::of(info),
            position,
            ack_mode: match info.config.ack_policy {
                AckPolicy::None => AckMode::None,
                AckPolicy::All | AckPolicy::Explicit | AckPolicy::FlowControl => AckMode::Explicit,
            },
            consumer,
        });
    };
    Err(match refused.kind() {
        ConsumerResetErrorKind::InvalidReset => SessionError::ConsumerIncompatible {
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
        assert_eq!((delivery.delivery_count, delivery.sequence), (1, 42));
    }
}
