//! What the stream itself says, whatever its consumers do: which sequence a time is, by a binary
//! search among single messages, and whether a range holds a message. It needs no consumer, which
//! a work-queue stream would refuse, and works with every server.

use crate::consumer::stored::StoredMessages;
use crate::error::SessionError;
use crate::resume::{Testimony, TimeLookup, Witness};
use async_nats::jetstream::stream::{ClusterInfo, Info, Stream};
use row::Timestamp;
use std::time::Duration;

/// A member of a cluster that its leader has not heard of for this long counts as away.
const HEARD_OF: Duration = Duration::from_secs(3);

/// Finds the first sequence of `stream` that was published at `time` or later. Sequences of one
/// stream are in the order of their times.
pub(crate) async fn first_at(
    stream: &Stream,
    messages: &StoredMessages,
    time: Timestamp,
) -> Result<TimeLookup, SessionError> {
    let state = &stream.cached_info().state;
    let (mut low, mut high) = (state.first_sequence, state.last_sequence + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match message_from(messages, ">", middle).await? {
            Some((sequence, published)) if published < time => low = sequence + 1,
            // What lies between `middle` and the message was removed.
            Some(_) | None => high = middle,
        }
    }
    Ok(TimeLookup {
        time,
        sequence: low.max(1),
    })
}

/// Fails if the stream has no leader. Without one any server that holds a copy answers with what
/// its copy has, which may be less than was read from the leader before.
pub(crate) fn refuse_leaderless(info: &Info) -> Result<(), SessionError> {
    match &info.cluster {
        Some(cluster) if cluster.leader.as_deref().unwrap_or_default().is_empty() => {
            Err(SessionError::Leaderless)
        }
        _ => Ok(()),
    }
}

/// Asks the stream's leader whether a message that was read is still what it was. That it never was
/// is believed only of a leader whom most of the others follow: one that was cut off may be behind.
pub(crate) async fn verify(
    stream: &Stream,
    messages: &StoredMessages,
    witness: Witness,
) -> Result<Testimony, SessionError> {
    let found = messages.get(witness.sequence).await?;
    let found = found.map(|message| message.published);
    if found == Some(witness.published) {
        return Ok(Testimony::Intact);
    }
    let info = stream.get_info().await?;
    refuse_leaderless(&info)?;
    if info.cluster.as_ref().is_some_and(|c| !is_followed(c)) {
        return Err(SessionError::Leaderless);
    }
    let last = info.state.last_sequence;
    if witness.sequence > last {
        return Ok(Testimony::SetBack(last));
    }
    if found.is_none() {
        return Ok(Testimony::Gone);
    }
    // What was published after it cannot have been read before it.
    let first = first_at(stream, messages, witness.published.saturating_add_micros(1)).await?;
    Ok(Testimony::SetBack(first.sequence.saturating_sub(1)))
}

/// Returns what tells the message with this sequence from another one that gets it after the stream
/// was set back.
pub(crate) async fn witness(
    messages: &StoredMessages,
    sequence: u64,
) -> Result<Option<Witness>, SessionError> {
    let found = messages.get(sequence).await?;
    Ok(found.map(|message| Witness {
        sequence,
        published: message.published,
    }))
}

/// Returns whether most members of the cluster, the leader among them, were heard of lately.
fn is_followed(cluster: &ClusterInfo) -> bool {
    let here =
        |peer: &&async_nats::jetstream::stream::PeerInfo| !peer.offline && peer.active < HEARD_OF;
    let present = 1 + cluster.replicas.iter().filter(here).count();
    2 * present > 1 + cluster.replicas.len()
}

/// Returns whether no message with one of these subjects lies in `first..=last`; false when the
/// server does not answer.
pub(crate) async fn is_empty(
    messages: &StoredMessages,
    subjects: &[String],
    first: u64,
    last: u64,
) -> bool {
    for subject in subjects {
        match message_from(messages, subject, first).await {
            Ok(Some((sequence, _))) if sequence <= last => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Returns sequence and time of the first message with `subject` from `sequence` on.
async fn message_from(
    messages: &StoredMessages,
    subject: &str,
    sequence: u64,
) -> Result<Option<(u64, Timestamp)>, SessionError> {
    let found = messages.next_of(subject, sequence).await?;
    Ok(found.map(|message| (message.sequence, message.published)))
}
