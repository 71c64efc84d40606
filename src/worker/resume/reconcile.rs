//! The database is the judge: what is recorded is compared with what the stream holds, each time a
//! pipeline (re)connects. What can no longer be read becomes a row and a warning, never silence.

use super::{Outcome, seek};
use crate::catalog::{gap, position};
use crate::config::{self, Fault};
use crate::pg::failure::Failure;
use nats::{PositionRequest, Sequences, Testimony, Witness};

/// Where a pipeline goes on, after gaps are recorded. Inside a transaction.
///
/// `remembered` is what this process has committed itself; it counts where the record is gone.
/// `fetched` is what it has fetched and not committed yet: not lost, whatever the stream removes;
/// the last message of it is `newest_fetched`.
///
/// # Errors
/// What the database says.
pub fn reconcile(
    pipeline: &str,
    request: &PositionRequest,
    remembered: Option<Sequences>,
    fetched: &Sequences,
    newest_fetched: Option<Witness>,
) -> Result<Outcome, Failure> {
    let stream_id = &request.stream_id;
    let stored = position::load(pipeline, stream_id)?;
    let is_stored = stored.is_some();
    let newest = stored.as_ref().and_then(|stored| stored.newest);
    let recorded = match config::fault() {
        Fault::ForgetPosition => None,
        _ => stored.map(|stored| stored.position).or(remembered),
    };
    let is_new = recorded.is_none();
    if let Some(witness) = unverified(request, newest_fetched, newest) {
        return Ok(Outcome::Verify(witness));
    }
    let before = recorded.clone().unwrap_or_default();
    let mut position = before.clone();
    if let Some((witness, Testimony::SetBack(last))) = request.verified {
        cut_back(pipeline, request, &mut position, witness, last)?;
    }
    if is_new && position::has_predecessor(pipeline, stream_id)? {
        pipeline_warning!(
            pipeline,
            "JetStream stream \"{}\" was deleted and made anew; reading the new one from its first message",
            stream_id.name
        );
    }
    let mut position = match seek::apply(pipeline, request, position)? {
        Outcome::At(position) => position,
        needs => return Ok(needs),
    };
    if is_new {
        // What was removed before the pipeline existed was never its concern.
        position.raise_floor(request.first_sequence.saturating_sub(1));
        return Ok(Outcome::At(position));
    }
    forget_what_is_not_there(pipeline, request, &mut position);
    record_what_is_gone(pipeline, request, &mut position, fetched)?;
    // After DROP and CREATE EXTENSION what this process remembers must outlive it.
    if position != before || !is_stored {
        position::save(pipeline, stream_id, &position, None)?;
    }
    Ok(Outcome::At(position))
}

/// Which message the stream has to be asked about first: the newest one that is known. When that
/// was removed, the newest one that is recorded.
fn unverified(
    request: &PositionRequest,
    fetched: Option<Witness>,
    recorded: Option<Witness>,
) -> Option<Witness> {
    match request.verified {
        None => fetched
            .into_iter()
            .chain(recorded)
            .max_by_key(|w| w.sequence),
        Some((witness, Testimony::Gone)) => recorded.filter(|r| r.sequence < witness.sequence),
        Some((_, Testimony::Intact | Testimony::SetBack(_))) => None,
    }
}

/// A stream in which a message that was read is another one, or none, was set back, by a restore or
/// by a server that lost its newest messages. Above `last` it holds new ones under old sequences.
fn cut_back(
    pipeline: &str,
    request: &PositionRequest,
    position: &mut Sequences,
    witness: Witness,
    last: u64,
) -> Result<(), Failure> {
    pipeline_warning!(
        pipeline,
        "JetStream stream \"{}\" does not hold the message that was read as sequence {}: it was set back; going on behind {last}",
        request.stream_id.name,
        witness.sequence,
    );
    if position.last() > last {
        position.forget_above(last);
        position::save(pipeline, &request.stream_id, position, None)?;
    }
    position::forget_newest(pipeline, &request.stream_id)
}

/// A stream that ends before what was recorded was set back, by a restore or by a server that lost
/// its newest messages. It will give those sequences to other messages.
fn forget_what_is_not_there(pipeline: &str, request: &PositionRequest, position: &mut Sequences) {
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

fn record_what_is_gone(
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
