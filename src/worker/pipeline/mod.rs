//! One pipeline on the main thread: batches that wait, the position, and when to try again. What it
//! does when it is its turn is in [`write`](mod@write).

mod context;
mod destinations;
mod selection;
mod trust;
mod write;
mod writer;

pub use context::WriteResources;
pub use destinations::configured_table;
pub use write::WriteReport;

use crate::catalog::position::Positions;
use crate::config::{PipelineConfig, WriteConfig};
use crate::pg::failure::{Class, Failure};
use crate::pg::transaction;
use crate::status::Slot;
use crate::worker::breaker::Permission;
use crate::worker::resume::{self, Outcome};
use nats::{
    Backoff, Batch, Message, PositionReply, PositionRequest, Sequences, StreamId, Subscription,
    Testimony, Witness,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use writer::Writer;

/// How soon a destination that does not fit is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Streams of one name that may follow each other while batches of the earlier ones still wait.
const SOURCES_KEPT: usize = 4;

/// Why a pipeline writes nothing at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// An operator paused it.
    Paused,
    /// The destination does not fit.
    Schema(Failure),
    /// The database failed; another try follows.
    Retry(Failure),
}

/// One pipeline.
pub struct Pipeline {
    /// Its place in shared memory.
    pub slot: Slot,
    /// Its settings.
    pub config: PipelineConfig,
    /// Its end in NATS.
    pub subscription: Subscription,
    /// Its way into the database.
    pub writer: Writer,
    /// Why it writes nothing, if so.
    pub hold: Option<Hold>,
    waiting: VecDeque<Batch>,
    /// Committed positions; the last one is that of the current stream.
    positions: Positions,
    /// The session was told that its position will be another one.
    seeking: bool,
    backoff: Backoff,
    try_at: Option<Instant>,
    /// Messages that a transaction may hold; shrinks after a time-out, grows with success.
    max_messages: usize,
}

impl Pipeline {
    /// A pipeline that has fetched nothing.
    pub fn new(
        slot: Slot,
        config: PipelineConfig,
        subscription: Subscription,
        write: &WriteConfig,
        positions: Positions,
    ) -> Self {
        Self {
            slot,
            subscription,
            writer: Writer::new(&config),
            config,
            hold: None,
            waiting: VecDeque::new(),
            positions,
            seeking: false,
            backoff: Backoff::new(write.retry_min, write.retry_max),
            try_at: None,
            max_messages: write.max_batch_rows,
        }
    }

    /// What is to be remembered when this pipeline ends.
    pub fn into_positions(self) -> (String, Positions) {
        (self.config.nats.name, self.positions)
    }

    /// The current stream and how far it is recorded.
    pub fn position(&self) -> Option<(&StreamId, &Sequences)> {
        self.positions
            .last()
            .map(|(stream_id, position)| (stream_id.as_ref(), position))
    }

    /// Stops or resumes on an operator's word. What was fetched is dropped; the server keeps it.
    pub fn pause(&mut self, paused: bool) {
        if paused == (self.hold == Some(Hold::Paused)) {
            return;
        }
        self.waiting.clear();
        self.hold = paused.then_some(Hold::Paused);
        self.try_at = None;
        // A session that starts now asks for its position anyway.
        self.seeking = true;
        match paused {
            true => self.stop_fetching(),
            false => self.subscription.start(),
        }
    }

    /// Nothing is fetched any more, and what was takes no memory from other pipelines.
    fn stop_fetching(&mut self) {
        self.waiting.clear();
        self.subscription.stop();
    }

    /// Lets the session ask for its position once when an operator wants another one. Usually a
    /// paused session is started anyway; this is for a pause that was over before it was seen.
    pub fn seek(&mut self, wanted: bool) {
        // One that does not fetch now asks for its position when it starts.
        if wanted && !self.seeking && self.subscription.is_started() {
            self.waiting.clear();
            self.subscription.start();
        }
        self.seeking = wanted;
    }

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
            Outcome::Needs(time) => {
                let _ = request.answer.send(PositionReply::LookUp(time));
                return Ok(());
            }
        };
        if let Some(at) = remembered {
            self.positions.remove(at);
        }
        self.positions
            .push((Arc::new(request.stream_id), position.clone()));
        if self.positions.len() > SOURCES_KEPT {
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

    /// Returns whether something could be written now, or when that may be.
    pub fn readiness(&self, now: Instant, permission: Permission) -> Readiness {
        if self.hold == Some(Hold::Paused) {
            return Readiness::Idle;
        }
        if let Permission::Wait(until) = permission {
            return Readiness::NotBefore(until);
        }
        match self.try_at {
            Some(at) if at > now => Readiness::NotBefore(at),
            // A destination that did not fit is looked at again even when nothing waits.
            Some(_) => Readiness::Ready,
            None if self.waiting.is_empty() && !self.subscription.has_batch() => Readiness::Idle,
            None => Readiness::Ready,
        }
    }

    /// What this pipeline may try. An open breaker stops those that have failed; of the others a
    /// single message tells whether it is the server or a table.
    pub fn permitted(&self, permission: Permission) -> Permission {
        match (permission, &self.hold) {
            (Permission::Wait(_), None | Some(Hold::Schema(_) | Hold::Paused)) => Permission::Probe,
            (permission, _) => permission,
        }
    }

    /// Looks a destination up that did not fit, although nothing waits to be written.
    fn look_again(&mut self, config: &WriteConfig) {
        match self.writer.probe(config.insert_timeout) {
            Ok(()) => {
                self.free();
                if !self.subscription.is_started() {
                    self.subscription.start();
                }
            }
            Err(failure) => self.hold_for(failure),
        }
    }

    fn after(&mut self, report: &WriteReport, config: &WriteConfig) {
        match &report.failure {
            None => {
                self.free();
                self.max_messages = (self.max_messages * 2).min(config.max_batch_rows);
            }
            Some(failure) => {
                if failure.wants_smaller_batch() && report.tried > 0 {
                    self.max_messages = (self.max_messages.min(report.tried) / 2).max(1);
                }
                self.hold_for(failure.clone());
            }
        }
    }

    fn free(&mut self) {
        self.hold = None;
        self.try_at = None;
        self.backoff.reset();
    }

    fn hold_for(&mut self, failure: Failure) {
        if failure.class() == Class::Schema && !self.writer.fits() {
            // What it holds could be any pipeline's memory until somebody mends the table.
            self.stop_fetching();
        }
        // A plan or a column may be stale whatever the error was.
        self.writer.forget_targets();
        let (hold, delay) = match failure.class() {
            Class::Schema => (Hold::Schema(failure), LOOK_AGAIN),
            Class::Data | Class::Environment => (Hold::Retry(failure), self.backoff.next_delay()),
        };
        self.hold = Some(hold);
        self.try_at = Some(Instant::now() + delay);
    }
}

/// When a pipeline has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Now.
    Ready,
    /// Not before this.
    NotBefore(Instant),
    /// When something comes.
    Idle,
}

/// The position of a stream. Batches come only from streams whose position was asked for before.
fn position_of<'a>(positions: &'a mut Positions, stream_id: &Arc<StreamId>) -> &'a mut Sequences {
    let known = positions.iter().position(|(s, _)| s == stream_id);
    let at = known.unwrap_or_else(|| {
        positions.insert(0, (stream_id.clone(), Sequences::default()));
        0
    });
    &mut positions[at].1
}
