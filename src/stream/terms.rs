//! What of a consumer's configuration decides which messages come, how often and when. Whoever
//! changes it by hand makes the consumer unfit for us, so it is watched and put right.

use crate::error::SessionError;
use async_nats::jetstream::consumer::{self, Info, pull};
use std::time::Duration;

/// The part of a configuration that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    filters: Vec<String>,
    headers_only: bool,
    ack_wait: Duration,
    max_deliver: i64,
    max_ack_pending: i64,
    backoff: Vec<Duration>,
    inactive_threshold: Duration,
    max_batch: i64,
    max_bytes: i64,
    max_expires: Duration,
}

impl Terms {
    /// Those of a consumer.
    pub(crate) fn of(config: &consumer::Config) -> Self {
        Self {
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
        }
    }

    /// Whether the consumer still is as it has to be.
    pub(crate) fn hold_for(&self, info: &Info) -> Result<(), SessionError> {
        refuse_paused(info)?;
        if *self == Self::of(&info.config) {
            Ok(())
        } else {
            Err(SessionError::ConsumerChanged)
        }
    }
}

/// Whoever has paused a consumer wants just that, so it stays so, and is told.
pub(crate) fn refuse_paused(info: &Info) -> Result<(), SessionError> {
    if info.paused {
        let consumer = info.name.clone();
        return Err(SessionError::ConsumerPaused { consumer });
    }
    Ok(())
}

/// `found` with the terms of `wanted`; what does not matter stays as whoever made it likes it.
pub(crate) fn put_right(found: &pull::Config, wanted: &pull::Config) -> pull::Config {
    pull::Config {
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
        ..found.clone()
    }
}

fn filters(one: &str, many: &[String]) -> Vec<String> {
    match one {
        "" => many.to_vec(),
        one => vec![one.to_owned()],
    }
}
