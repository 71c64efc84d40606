//! Compares the recorded position with the messages that the stream holds, each time a pipeline
//! (re)connects. The database decides where to continue. Messages that can no longer be read become
//! a gap and a warning.

use super::{ResumeDecision, seek};
use crate::catalog::{gap, position};
use crate::config::{self, Fault};
use crate::pg::failure::Failure;
use nats::{MessageIdentity, PositionRequest, Sequences, VerifyResult};

/// Returns where a pipeline continues, and records gaps. Inside a transaction only.
///
/// `remembered` is the position that this process has committed itself; it is used if the database
/// has none. `fetched` are the sequences fetched and not committed yet, which are not a gap even
/// if the stream has removed them; `newest_fetched` is the newest of these messages.
///
/// # Errors
/// Those of the database.
pub fn reconcile(
    pipeline: &str,
    request: &PositionRequest,
    remembered: Option<Sequences>,
    fetched: &Sequences,
    newest_fetched: Option<MessageIdentity>,
) -> Result<ResumeDecision, Failure> {
    let stream_id = &request.stream_id;
    let stored = position::load(pipeline, stream_id)?;
    let is_stored = stored.is_some();
    let newest = stored.as_ref().and_then(|stored| stored.newest);
    let recorded = match config::fault() {
        Fault::ForgetPosition => None,
        _ => stored.map(|stored| stored.position).or(remembered),
    };
    let is_new = recorded.is_none();
    if let Some(identity) = message_to_verify(request, newest_fetched, newest) {
        return Ok(ResumeDecision::Verify(identity));
    }
    let before = recorded.clone().unwrap_or_default();
    let mut position = before.clone();
    if let Some((identity, VerifyResult::SetBack(last))) = request.verified {
        cut_back(pipeline, request, &mut position, identity, last)?;
    }
    if is_new && position::has_predecessor(pipeline, stream_id)? {
        pipeline_warning!(
            pipeline,
            "JetStream stream \"{}\" was deleted and created again; reading the new one from its first message",
            stream_id.name
        );
    }
    let mut position = match seek::apply(pipeline, request, position)? {
        ResumeDecision::At(position) => position,
        needs => return Ok(needs),
    };
    if is_new {
        // Messages that were removed before the pipeline existed are not a gap.
        position.raise_floor(request.first_sequence.saturating_sub(1));
        return Ok(ResumeDecision::At(position));
    }
    cut_back_to_stream_end(pipeline, request, &mut position);
    record_removed_messages(pipeline, request, &mut position, fetched)?;
    // After DROP and CREATE EXTENSION only this process still has the position, so it is saved.
    if position != before || !is_stored {
        position::save(pipeline, stream_id, &position, None)?;
    }
    Ok(ResumeDecision::At(position))
}

/// Returns the message that the stream has to verify first: the newest one that is fetched or
/// recorded, or, if that was removed, the newest recorded one.
fn message_to_verify(
    request: &PositionRequest,
    fetched: Option<MessageIdentity>,
    recorded: Option<MessageIdentity>,
) -> Option<MessageIdentity> {
    match request.verified {
        None => fetched
            .into_iter()
            .chain(recorded)
            .max_by_key(|w| w.sequence),
        Some((identity, VerifyResult::Gone)) => recorded.filter(|r| r.sequence < identity.sequence),
        Some((_, VerifyResult::Intact | VerifyResult::SetBack(_))) => None,
    }
}

/// Cuts the position back to `last`, because the message `identity` is missing or is another
/// message: the stream was set back, by a restore or by a server that lost its newest messages. It
/// assigns the sequences above `last` to new messages.
fn cut_back(
    pipeline: &str,
    request: &PositionRequest,
    position: &mut Sequences,
    identity: MessageIdentity,
    last: u64,
) -> Result<(), Failure> {
    pipeline_warning!(
        pipeline,
        "JetStream stream \"{}\" does not hold the message that was read as sequence {}: it was set back; going on behind {last}",
        request.stream_id.name,
        identity.sequence,
    );
    if position.last() > last {
        position.forget_above(last);
        position::save(pipeline, &request.stream_id, position, None)?;
    }
    position::forget_newest(pipeline, &request.stream_id)
}

/// Cuts the position back to the end of the stream, if that comes before recorded sequences: the
/// stream was set back, by a restore or by a server that lost its newest messages. It will assign
/// these sequences to other messages.
fn cut_back_to_stream_end(pipeline: &str, request: &PositionRequest, position: &mut Sequences) {
    if position.last() <= request.last_sequence {
        return;
    }
    pipeline_warning!(
        pipeline,
        "JetStream stream \"{}\" ends at sequence {}, but {} was recorded: it was set back; going on behind {}",
        request.stream_id.name,
        request.last_sequence,
        position.last(),
        request.last_sequence
    );
    position.forget_above(request.last_sequence);
}

/// Records the messages that the stream removed before they were fetched as gaps, and adds them to
/// the position.
fn record_removed_messages(
    pipeline: &str,
    request: &PositionRequest,
    position: &mut Sequences,
    fetched: &Sequences,
) -> Result<(), Failure> {
    let Some(gone) = request.first_sequence.checked_sub(1) else {
        return Ok(());
    };
    let mut known = position.clone();
    known.raise_floor(fetched.floor());
    fetched
        .above()
        .for_each(|(first, last)| known.insert(first, last));
    let gaps: Vec<(u64, u64)> = known.missing(1, gone).into_iter().collect();
    for (first, last) in &gaps {
        position.insert(*first, *last);
    }
    gap::record_removed(pipeline, &request.stream_id, &gaps)
}
