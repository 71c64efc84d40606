//! The durable consumer of a pipeline: made when it is missing, kept in line with the settings,
//! and moved to where the database says the pipeline is.

use crate::batch::Acks;
use crate::error::SessionError;
use crate::sequences::Sequences;
use crate::settings::{Pipeline, Settings};
use crate::terms::{self, Terms};
use async_nats::Client;
use async_nats::jetstream::{
    consumer::{self, AckPolicy, Consumer, DeliverPolicy, FromConsumer, pull},
    context::ConsumerInfoErrorKind,
    stream::{self, ConsumerResetErrorKind, RetentionPolicy, Stream},
};

/// Deliveries the server lets be on their way at once. The byte budget is the real bound; this only
/// has to be out of its way.
const MAX_ACK_PENDING: i64 = 65_536;
/// No number of deliveries may lose a message.
const UNLIMITED: i64 = -1;

/// A consumer that is ready to be fetched from.
pub(crate) struct Positioned {
    pub(crate) consumer: Consumer<pull::Config>,
    /// No message of this pipeline lies between the position and the next new delivery but what is
    /// above this sequence.
    pub(crate) delivered: u64,
    /// What an acknowledgement settles.
    pub(crate) acks: Acks,
    /// The server can set a consumer back, so a lost message need not wait for its redelivery.
    pub(crate) resettable: bool,
    /// What has to stay so that all of this holds.
    pub(crate) terms: Terms,
}

impl Positioned {
    fn new(consumer: Consumer<pull::Config>, delivered: u64, resettable: bool) -> Self {
        let acks = match consumer.cached_info().config.ack_policy {
            AckPolicy::All => Acks::UpTo,
            AckPolicy::Explicit | AckPolicy::None | AckPolicy::FlowControl => Acks::Each,
        };
        Self {
            terms: Terms::of(&consumer.cached_info().config),
            consumer,
            delivered,
            acks,
            resettable,
        }
    }
}

/// Finds or makes the durable consumer and moves it to the first message that `position` lacks.
pub(crate) async fn prepare(
    client: &Client,
    stream: &Stream,
    pipeline: &Pipeline,
    settings: &Settings,
    position: &Sequences,
) -> Result<Positioned, SessionError> {
    let wanted = config(pipeline, settings, &stream.cached_info().config);
    let consumer = match find(stream, &pipeline.consumer_name(settings)).await? {
        Some(info) => keep_in_line(stream, info, &wanted).await?,
        None => stream.create_consumer(wanted.clone()).await?,
    };
    let before = before_first(stream, &consumer, position.floor());
    move_to(stream, consumer, wanted, before, Resets::of(client)).await
}

/// The worker acknowledges the position, which has no holes below it, so one acknowledgement for all
/// messages up to there says the same as one for each and costs the server a fraction. A work queue
/// knows only the latter. An interest stream drops what is acknowledged, and to the server the deletion
/// of a message that is on its way is an acknowledgement too: it must not stand for others.
fn config(pipeline: &Pipeline, settings: &Settings, stream: &stream::Config) -> pull::Config {
    let ack_policy = match stream.retention {
        RetentionPolicy::WorkQueue | RetentionPolicy::Interest => AckPolicy::Explicit,
        RetentionPolicy::Limits => AckPolicy::All,
    };
    let (filter_subject, filter_subjects) = match filters(pipeline, stream) {
        [one] => (one.clone(), Vec::new()),
        many => (String::new(), many.to_vec()),
    };
    pull::Config {
        durable_name: Some(pipeline.consumer_name(settings)),
        deliver_policy: DeliverPolicy::All,
        ack_policy,
        ack_wait: settings.ack_wait,
        max_deliver: UNLIMITED,
        max_ack_pending: MAX_ACK_PENDING,
        filter_subject,
        filter_subjects,
        ..pull::Config::default()
    }
}

/// Without a filter the server finds the next message for less, so a pipeline that reads a whole stream
/// has none. What nevertheless comes on another subject, of a time when the stream took more or will
/// take more, is passed over by the fetch. Where an acknowledgement removes a message that would be a
/// theft.
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
        Err(error) => Err(SessionError::Consumer(error.to_string())),
    }
}

/// Applies changed settings to a consumer that exists. What cannot be changed is refused by name,
/// since deleting a consumer that somebody made on purpose is not ours to do.
async fn keep_in_line(
    stream: &Stream,
    info: consumer::Info,
    wanted: &pull::Config,
) -> Result<Consumer<pull::Config>, SessionError> {
    let unfit = |problem| SessionError::ConsumerUnfit {
        consumer: info.name.clone(),
        problem,
    };
    terms::refuse_paused(&info)?;
    let found = pull::Config::try_from_consumer_config(info.config.clone())
        .map_err(|_| unfit("is a push consumer"))?;
    if !matches!(found.ack_policy, AckPolicy::All | AckPolicy::Explicit) {
        return Err(unfit("does not wait for acknowledgements"));
    }
    let updated = terms::put_right(&found, wanted);
    if updated == found {
        let found = stream.get_consumer(&info.name).await;
        return found.map_err(|error| SessionError::Consumer(error.to_string()));
    }
    Ok(stream.update_consumer(updated).await?)
}

/// After which sequence to begin. A stream that keeps what is not acknowledged may hold messages
/// that were recorded before a crash kept their acknowledgement back; they have to come once more.
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

/// Makes the next new delivery the first message after `floor`.
///
/// Also when that is where it seems to be: what the consumer has passed over under another filter
/// does not show.
async fn move_to(
    stream: &Stream,
    mut consumer: Consumer<pull::Config>,
    wanted: pull::Config,
    floor: u64,
    resets: Resets,
) -> Result<Positioned, SessionError> {
    let info = consumer.cached_info();
    let (delivered, ack_floor) = (
        info.delivered.stream_sequence,
        info.ack_floor.stream_sequence,
    );
    let in_place = delivered == floor && info.num_ack_pending == 0;
    let refused = match consumer.reset(Some(floor + 1)).await {
        Ok(_) => return Ok(Positioned::new(consumer, floor, true)),
        Err(refused) => refused,
    };
    match (refused.kind(), resets) {
        (ConsumerResetErrorKind::InvalidReset, _) if in_place => {
            Ok(Positioned::new(consumer, floor, false))
        }
        (ConsumerResetErrorKind::InvalidReset, _) => {
            recreate(stream, consumer, wanted, floor).await
        }
        (_, Resets::Unknown) if ack_floor <= floor => {
            Ok(Positioned::new(consumer, delivered, false))
        }
        (_, Resets::Unknown) => recreate(stream, consumer, wanted, floor).await,
        (_, Resets::Known) => Err(SessionError::Consumer(refused.to_string())),
    }
}

/// Whether the server knows how to set a consumer back. One that does and does not do it now has
/// some trouble, which passes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resets {
    /// nats-server 2.14 and newer.
    Known,
    /// Older ones do not answer.
    Unknown,
}

impl Resets {
    fn of(client: &Client) -> Self {
        match client.is_server_compatible(2, 14, 0) {
            true => Self::Known,
            false => Self::Unknown,
        }
    }
}

/// Starts the consumer over at `floor + 1` where it cannot be set back. Only a stream that keeps
/// messages whatever its consumers do can be treated so.
async fn recreate(
    stream: &Stream,
    consumer: Consumer<pull::Config>,
    wanted: pull::Config,
    floor: u64,
) -> Result<Positioned, SessionError> {
    let name = consumer.cached_info().name.clone();
    if stream.cached_info().config.retention != RetentionPolicy::Limits {
        let problem = "is ahead of the database and this server cannot set it back";
        return Err(SessionError::ConsumerUnfit {
            consumer: name,
            problem,
        });
    }
    stream.delete_consumer(&name).await?;
    let deliver_policy = DeliverPolicy::ByStartSequence {
        start_sequence: floor + 1,
    };
    let consumer = stream
        .create_consumer(pull::Config {
            deliver_policy,
            ..wanted
        })
        .await?;
    Ok(Positioned::new(consumer, floor, false))
}
