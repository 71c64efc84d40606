//! Answers a session's requests for the position of its pipeline, from the database and from what
//! is fetched but not committed.

use super::Pipeline;
use crate::catalog::position::Positions;
use crate::pg::failure::Failure;
use crate::pg::transaction;
use crate::worker::resume::{self, ResumeDecision};
use nats::{
    FetchedMessage, MessageIdentity, PositionReply, PositionRequest, Sequences, StreamId,
    VerifyResult,
};
use std::sync::Arc;
use std::time::Duration;

/// Number of streams with the same name whose positions are kept, because batches of a deleted
/// stream may still wait after it was created again.
const STREAMS_KEPT: usize = 4;

impl Pipeline {
    /// Answers the NATS thread's request for the position. A seek that an operator has requested is
    /// performed here, in the transaction that marks it as done.
    ///
    /// # Errors
    /// Those of the database; the session then asks again.
    pub fn resume(&mut self, request: PositionRequest, timeout: Duration) -> Result<(), Failure> {
        let name = self.config.nats.name.clone();
        if let Some((_, VerifyResult::SetBack(_))) = request.verified {
            // The stream may assign these sequences to other messages. Those that it still holds
            // are read again.
            self.gather_all();
            self.waiting.clear();
        }
        let fetched = self.fetched_not_committed(&request.stream_id);
        let newest = self.newest_fetched(&request.stream_id);
        let known = |(stream_id, _): &(Arc<StreamId>, Sequences)| **stream_id == request.stream_id;
        let remembered = self.positions.iter().position(known);
        let own = remembered.and_then(|at| self.positions.get(at));
        let own = own.map(|(_, position)| position.clone());
        // On an error the request is dropped, and the session asks again.
        let outcome = transaction::run(timeout, || {
            resume::reconcile(&name, &request, own.clone(), &fetched, newest)
        })?;
        let position = match outcome {
            ResumeDecision::At(position) => position,
            ResumeDecision::Verify(identity) => {
                let _ = request.reply.send(PositionReply::Verify(identity));
                return Ok(());
            }
            ResumeDecision::LookUp(time) => {
                let _ = request.reply.send(PositionReply::LookUp(time));
                return Ok(());
            }
        };
        if let Some(at) = remembered {
            self.positions.remove(at);
        }
        self.positions
            .push((Arc::new(request.stream_id), position.clone()));
        if self.positions.len() > STREAMS_KEPT {
            self.positions.remove(0);
        }
        // The session may have ended meanwhile; the next one asks again.
        let _ = request.reply.send(PositionReply::Position(position));
        Ok(())
    }

    /// Returns the sequences of this stream that are fetched and not recorded yet.
    fn fetched_not_committed(&mut self, stream_id: &StreamId) -> Sequences {
        self.gather_all();
        let mut fetched = Sequences::default();
        let batches = self
            .waiting
            .iter()
            .filter(|batch| *batch.stream_id == *stream_id);
        for message in batches.flat_map(|batch| &batch.messages) {
            fetched.insert(message.accounts_from, message.sequence);
        }
        fetched
    }

    /// Returns the newest message of this stream that is fetched or skipped and not recorded yet.
    fn newest_fetched(&self, stream_id: &StreamId) -> Option<MessageIdentity> {
        let batches = self
            .waiting
            .iter()
            .filter(|batch| *batch.stream_id == *stream_id);
        let newest = batches.flat_map(|batch| {
            let messages = batch.messages.iter().map(FetchedMessage::identity);
            messages.chain(batch.tail().and_then(|tail| tail.newest))
        });
        newest.max_by_key(|identity| identity.sequence)
    }
}

/// Returns the position of a stream. Batches come only from streams whose position was requested
/// before.
pub(super) fn position_of<'a>(
    positions: &'a mut Positions,
    stream_id: &Arc<StreamId>,
) -> &'a mut Sequences {
    let known = positions.iter().position(|(s, _)| s == stream_id);
    let at = known.unwrap_or_else(|| {
        positions.insert(0, (stream_id.clone(), Sequences::default()));
        0
    });
    &mut positions[at].1
}
