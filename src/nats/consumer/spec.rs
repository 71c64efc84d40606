//! The part of a consumer's configuration that decides which messages are delivered, how often and
//! when. If somebody changes it the consumer cannot be used, so it is checked during a session, and
//! restored by the next one.

use crate::error::SessionError;
use async_nats::jetstream::{
    consumer::{AckPolicy, Info, PriorityPolicy, ReplayPolicy, pull},
    stream::{self, RetentionPolicy},
};
use std::time::Duration;

/// Key in the consumer's metadata under which each session writes a unique name. So a session
/// notices when another writer uses the same consumer.
pub(crate) const SESSION: &str = "sr_event_writer.session";
/// Least value of `max_waiting`. With fewer requests waiting at a time, the server could refuse the
/// next one while the one before is still open.
const MIN_WAITING: i64 = 8;

/// The part of a consumer's configuration that must stay unchanged during a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerSpec {
    /// Nanoseconds since 1970 when it was created, which distinguishes it from a later consumer of
    /// the same name.
    created: i128,
    /// Name of the session that set it up last.
    session: Option<String>,
    filters: Vec<String>,
    headers_only: bool,
    ack_wait: Duration,
    max_deliver: i64,
    max_ack_pending: i64,
    /// The server sets `ack_wait` to the first of them, so a change shows there, too.
    backoff: Vec<Duration>,
    inactive_threshold: Duration,
    max_batch: i64,
    max_bytes: i64,
    max_expires: Duration,
    priority_policy: PriorityPolicy,
    priority_groups: Vec<String>,
}

impl ConsumerSpec {
    /// Returns the specification of an existing consumer.
    pub(crate) fn of(info: &Info) -> Self {
        let config = &info.config;
        Self {
            created: info.created.unix_timestamp_nanos(),
            session: config.metadata.get(SESSION).cloned(),
            filters: filters(&config.filter_subject, &config.filter_subjects),
            headers_only: config.headers_only,
            ack_wait: config.ack_wait,
            max_deliver: config.max_deliver,
            max_ack_pending: config.max_ack_pending,
            backoff: config.backoff.clone(),
            inactive_threshold: config.inactive_threshold,
            max_batch: config.max_batch,
            max_bytes: config.max_bytes,
            max_expires: config.max_expires,
            priority_policy: config.priority_policy.clone(),
            priority_groups: config.priority_groups.clone(),
        }
    }

    /// Fails unless the consumer is unchanged.
    pub(crate) fn check_unchanged(&self, info: &Info) -> Result<(), SessionError> {
        refuse_paused(info)?;
        let now = Self::of(info);
        if now.session.is_some() && now.session != self.session {
            let consumer = info.name.clone();
            return Err(SessionError::ConsumerTaken { consumer });
        }
        if *self == now {
            Ok(())
        } else {
            Err(SessionError::ConsumerChanged)
        }
    }
}

/// Fails if messages would be lost. A stream that drops acknowledged messages drops those that it
/// sent to a consumer without acknowledgements, and all those that a cumulative acknowledgement
/// covers.
pub(crate) fn refuse_message_loss(
    stream: &stream::Config,
    info: &Info,
) -> Result<(), SessionError> {
    match (stream.retention, info.config.ack_policy) {
        (RetentionPolicy::Limits, _) | (_, AckPolicy::Explicit) => Ok(()),
        (RetentionPolicy::Interest | RetentionPolicy::WorkQueue, _) => {
            Err(SessionError::WouldDropMessages {
                consumer: info.name.clone(),
            })
        }
    }
}

/// Returns what is wrong with a consumer, if an update cannot correct it.
pub(crate) fn incompatibility(found: &pull::Config, wanted: &pull::Config) -> Option<&'static str> {
    let few = (1..MIN_WAITING).contains(&found.max_waiting);
    match () {
        () if found.ack_policy != wanted.ack_policy => Some("acknowledges in another way"),
        () if found.deliver_policy != wanted.deliver_policy => {
            Some("does not begin with the first message")
        }
        () if found.replay_policy != ReplayPolicy::Instant => {
            Some("sends messages at the pace of their publishers")
        }
        () if few => Some("lets too few requests wait"),
        () => None,
    }
}

/// Fails if the consumer is paused. It stays paused, since that is what somebody wants, and the
/// status shows it.
pub(crate) fn refuse_paused(info: &Info) -> Result<(), SessionError> {
    if info.paused {
        let consumer = info.name.clone();
        return Err(SessionError::ConsumerPaused { consumer });
    }
    Ok(())
}

/// Returns the configuration `found`, with the values of `wanted` in all fields that matter. The
/// others stay as they are, since whoever set them may want them so.
pub(crate) fn merge_config(found: &pull::Config, wanted: &pull::Config) -> pull::Config {
    let mut metadata = found.metadata.clone();
    metadata.extend(wanted.metadata.clone());
    pull::Config {
        metadata,
        filter_subject: wanted.filter_subject.clone(),
        filter_subjects: wanted.filter_subjects.clone(),
        headers_only: wanted.headers_only,
        ack_wait: wanted.ack_wait,
        max_deliver: wanted.max_deliver,
        max_ack_pending: wanted.max_ack_pending,
        backoff: wanted.backoff.clone(),
        inactive_threshold: wanted.inactive_threshold,
        max_batch: wanted.max_batch,
        max_bytes: wanted.max_bytes,
        max_expires: wanted.max_expires,
        priority_policy: wanted.priority_policy.clone(),
        priority_groups: wanted.priority_groups.clone(),
        ..found.clone()
    }
}

fn filters(one: &str, many: &[String]) -> Vec<String> {
    match one {
        "" => many.to_vec(),
        one => vec![one.to_owned()],
    }
}
