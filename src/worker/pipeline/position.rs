//! Where a pipeline stands: the answers to the questions of its session, and what was fetched that
//! no position has yet.

use super::Pipeline;
use crate::catalog::position::Positions;
use crate::pg::failure::Failure;
use crate::pg::transaction;
use crate::worker::resume::{self, Outcome};
use nats::{Message, PositionReply, PositionRequest, Sequences, StreamId, Testimony, Witness};
use std::sync::Arc;
use std::time::Duration;

/// Streams of one name that may follow each other while batches of the earlier ones still wait.
const STREAMS_KEPT: usize = 4;

impl Pipeline {
    /// Answers the NATS side's question where the pipeline stands. What an operator has asked for
    /// with `sr_event_writer_seek` is done here, in one transaction with the record of it.
    ///
    /// # Errors
    /// What the database says; the question then waits for another try.
    pub fn resume(&mut self, request: PositionRequest, timeout: Duration) -> Result<(), Failure> {
        let name = self.config.nats.name.clone();
        if let Some((_, Testimony::SetBack(_))) = request.verified {
            // Its sequences may be given to other messages. What is there still is read again.
            self.gather_all();
            self.waiting.clear();
        }
        let fetched = self.fetched_not_committed(&request.stream_id);
        let newest = self.newest_fetched(&request.stream_id);
        let known = |(stream_id, _): &(Arc<StreamId>, Sequences)| **stream_id == request.stream_id;
        let remembered = self.positions.iter().position(known);
        let own = remembered.and_then(|at| self.positions.get(at));
        let own = own.map(|(_, position)| position.clone());
        // On an error the question is dropped, and the NATS side asks again.
        let outcome = transaction::run(timeout, || {
            resume::reconcile(&name, &request, own.clone(), &fetched, newest)
        })?;
        let position = match outcome {
            Outcome::At(position) => position,
            Outcome::Verify(witness) => {
                let _ = request.answer.send(PositionReply::Verify(witness));
                return Ok(());
            }
            Outcome::LookUp(time) => {
                let _ = request.answer.send(PositionReply::LookUp(time));
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
        // The session may have ended meanwhile; its successor asks again.
        let _ = request.answer.send(PositionReply::Position(position));
        Ok(())
    }

    /// What was fetched from this stream and is not written yet.
    fn fetched_not_committed(&mut self, stream_id: &StreamId) -> Sequences {
        self.gather_all();
        let mut fetched = Sequences::default();
        let batches = self
            .waiting
            .iter()
            .filter(|batch| *batch.stream_id == *stream_id);
        for message in batches.flat_map(|batch| &batch.messages) {
            fetched.insert(message.settles_from, message.sequence);
        }
        fetched
    }

    /// The last message of this stream that was fetched or passed over, and is not recorded yet.
    fn newest_fetched(&self, stream_id: &StreamId) -> Option<Witness> {
        let batches = self
            .waiting
            .iter()
            .filter(|batch| *batch.stream_id == *stream_id);
        let newest = batches.flat_map(|batch| {
            let messages = batch.messages.iter().map(Message::witness);
            messages.chain(batch.tail().and_then(|tail| tail.newest))
        });
        newest.max_by_key(|witness| witness.sequence)
    }
}

/// The position of a stream. Batches come only from streams whose position was asked for before.
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
