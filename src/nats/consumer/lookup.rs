//! Questions that the stream itself answers, independent of its consumers: which sequence
//! corresponds to a time (binary search over single messages), whether a range holds a message, and
//! whether a message is unchanged. None of this needs a second consumer, which a work-queue stream
//! would refuse, and it works with every server.

use crate::consumer::stored::StoredMessages;
use crate::error::SessionError;
use crate::resume::{MessageIdentity, TimeLookup, VerifyResult};
use async_nats::jetstream::stream::{ClusterInfo, Info, Stream};
use row::Timestamp;
use std::time::Duration;

/// A peer that its leader has not heard from for this long counts as absent.
const PEER_TIMEOUT: Duration = Duration::from_secs(3);

/// Finds the first sequence of `stream` that was published at `time` or later. In a stream, publish
/// times ascend with the sequences.
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
            // The messages between `middle` and the one found were removed.
            Some(_) | None => high = middle,
        }
    }
    Ok(TimeLookup {
        time,
        sequence: low.max(1),
    })
}

/// Fails if the stream has no leader. Without a leader, any replica answers, and it may have fewer
/// messages than were read from the leader before.
pub(crate) fn refuse_leaderless(info: &Info) -> Result<(), SessionError> {
    match &info.cluster {
        Some(cluster) if cluster.leader.as_deref().unwrap_or_default().is_empty() => {
            Err(SessionError::Leaderless)
        }
        _ => Ok(()),
    }
}

/// Asks the stream's leader whether a message that was read is unchanged. Any other answer counts
/// only if most peers follow this leader: a leader that was cut off may be behind.
pub(crate) async fn verify(
    stream: &Stream,
    messages: &StoredMessages,
    identity: MessageIdentity,
) -> Result<VerifyResult, SessionError> {
    let found = messages.get(identity.sequence).await?;
    let found = found.map(|message| message.published);
    if found == Some(identity.published) {
        return Ok(VerifyResult::Intact);
    }
    let info = stream.get_info().await?;
    refuse_leaderless(&info)?;
    if info.cluster.as_ref().is_some_and(|c| !is_followed(c)) {
        return Err(SessionError::Leaderless);
    }
    let last = info.state.last_sequence;
    if identity.sequence > last {
        return Ok(VerifyResult::SetBack(last));
    }
    if found.is_none() {
        return Ok(VerifyResult::Gone);
    }
    // A message that was published later than this one cannot have been read before it.
    let first = first_at(
        stream,
        messages,
        identity.published.saturating_add_micros(1),
    )
    .await?;
    Ok(VerifyResult::SetBack(first.sequence.saturating_sub(1)))
}

/// Returns what distinguishes the message with this sequence from another one that gets the same
/// sequence after the stream was set back.
pub(crate) async fn identity(
    messages: &StoredMessages,
    sequence: u64,
) -> Result<Option<MessageIdentity>, SessionError> {
    let found = messages.get(sequence).await?;
    Ok(found.map(|message| MessageIdentity {
        sequence,
        published: message.published,
    }))
}

/// Returns whether most members of the cluster, including the leader, were in contact lately.
fn is_followed(cluster: &ClusterInfo) -> bool {
    let is_active = |peer: &&async_nats::jetstream::stream::PeerInfo| {
        !peer.offline && peer.active < PEER_TIMEOUT
    };
    let active = 1 + cluster.replicas.iter().filter(is_active).count();
    2 * active > 1 + cluster.replicas.len()
}

/// Returns whether `first..=last` holds no message with one of these subjects. Returns false if the
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

/// Returns sequence and publish time of the first message with `subject`, from `sequence` on.
async fn message_from(
    messages: &StoredMessages,
    subject: &str,
    sequence: u64,
) -> Result<Option<(u64, Timestamp)>, SessionError> {
    let found = messages.next_of(subject, sequence).await?;
    Ok(found.map(|message| (message.sequence, message.published)))
}
