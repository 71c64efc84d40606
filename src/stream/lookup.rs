//! What the stream itself says, whatever its consumers do: which sequence a time is, by a binary
//! search among single messages, and whether a range holds a message. It needs no consumer, which
//! a work-queue stream would refuse, and works with every server.

use crate::error::SessionError;
use crate::session::Found;
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind, Stream};
use row::Timestamp;

/// The first sequence of `stream` that was published at `time` or later. Sequences of one stream
/// are in the order of their times.
pub(crate) async fn first_at(stream: &Stream, time: Timestamp) -> Result<Found, SessionError> {
    let state = &stream.cached_info().state;
    let (mut low, mut high) = (state.first_sequence, state.last_sequence + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match message_from(stream, ">", middle).await? {
            Some((sequence, published)) if published < time => low = sequence + 1,
            // What lies between `middle` and the message was removed.
            Some(_) | None => high = middle,
        }
    }
    Ok(Found {
        time,
        sequence: low.max(1),
    })
}

/// Without a leader any server that holds a copy answers with what its copy has, which may be less than was
/// read from the leader before.
pub(crate) fn refuse_leaderless(info: &Info) -> Result<(), SessionError> {
    match &info.cluster {
        Some(cluster) if cluster.leader.as_deref().unwrap_or_default().is_empty() => {
            Err(SessionError::Leaderless)
        }
        _ => Ok(()),
    }
}

/// Whether no message with one of these subjects lies in `first..=last`. Not, when that cannot be
/// told.
pub(crate) async fn is_empty(stream: &Stream, subjects: &[String], first: u64, last: u64) -> bool {
    for subject in subjects {
        match message_from(stream, subject, first).await {
            Ok(Some((sequence, _))) if sequence <= last => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Sequence and time of the first message with `subject` from `sequence` on.
async fn message_from(
    stream: &Stream,
    subject: &str,
    sequence: u64,
) -> Result<Option<(u64, Timestamp)>, SessionError> {
    match stream
        .get_first_raw_message_by_subject(subject, sequence)
        .await
    {
        Ok(message) => {
            let nanos = message.time.unix_timestamp_nanos();
            let published = Timestamp::from_unix_nanos(nanos).unwrap_or_default();
            Ok(Some((message.sequence, published)))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(SessionError::Api(error.to_string())),
    }
}
