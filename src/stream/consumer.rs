//! The durable consumer of a pipeline: made when it is missing, kept in line with the settings,
//! and moved to where the database says the pipeline is.

use crate::batch::Acks;
use crate::error::SessionError;
use crate::sequences::Sequences;
use crate::settings::{Pipeline, Settings};
use crate::terms::{self, Terms};
use async_nats::jetstream::{
    consumer::{self, AckPolicy, Consumer, DeliverPolicy, FromConsumer, pull},
    context::ConsumerInfoErrorKind,
    stream::{ConsumerResetErrorKind, RetentionPolicy, Stream},
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
    stream: &Stream,
    pipeline: &Pipeline,
    settings: &Settings,
    position: &Sequences,
) -> Result<Positioned, SessionError> {
    let wanted = config(pipeline, settings, stream.cached_info().config.retention);
    let consumer = match find(stream, &pipeline.consumer_name(settings)).await? {
        Some(info) => keep_in_line(stream, info, &wanted).await?,
        None => stream.create_consumer(wanted.clone()).await?,
    };
    move_to(stream, consumer, wanted, position.floor()).await
}

/// The worker acknowledges the position, which has no holes below it, so one acknowledgement for all
/// messages up to there says the same as one for each and costs the server a fraction. A work queue
/// knows only the latter.
fn config(pipeline: &Pipeline, settings: &Settings, retention: RetentionPolicy) -> pull::Config {
    let ack_policy = match retention {
        RetentionPolicy::WorkQueue => AckPolicy::Explicit,
        RetentionPolicy::Limits | RetentionPolicy::Interest => AckPolicy::All,
    };
    let (filter_subject, filter_subjects) = match pipeline.subjects.as_slice() {
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

/// Makes the next new delivery the first message after `floor`.
async fn move_to(
    stream: &Stream,
    mut consumer: Consumer<pull::Config>,
    wanted: pull::Config,
    floor: u64,
) -> Result<Positioned, SessionError> {
    let info = consumer.cached_info();
    let delivered = info.delivered.stream_sequence;
    let (ack_floor, in_place) = (
        info.ack_floor.stream_sequence,
        delivered == floor && info.num_ack_pending == 0,
    );
    if in_place {
        return Ok(Positioned::new(consumer, floor, true));
    }
    match consumer.reset(Some(floor + 1)).await {
        Ok(_) => {
            return Ok(Positioned::new(consumer, floor, true));
        }
        Err(error) if error.kind() == ConsumerResetErrorKind::InvalidReset => {}
        // Servers before 2.14 do not know the request.
        Err(_) if ack_floor <= floor => {
            return Ok(Positioned::new(consumer, delivered, false));
        }
        Err(_) => {}
    }
    recreate(stream, consumer, wanted, floor).await
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
