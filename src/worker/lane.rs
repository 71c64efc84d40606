//! One pipeline on the main thread: batches that wait, the position, and when to try again.

use super::breaker::Permission;
use super::durable;
use super::failure::{Class, Failure};
use super::reconcile;
use super::seek;
use super::transaction;
use super::work::{self, Passed, Run};
use super::writer::{Process, Writer, Written};
use crate::config::{self, Fault, PipelineConfig, WriteConfig};
use async_nats::Subject;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::{Acks, Answer, Backoff, Batch, Handle, ResumeRequest, Sequences, Source};

/// How soon a destination that does not fit is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Messages of a probe while the breaker is half open.
const PROBE_MESSAGES: usize = 1;
/// Streams of one name that may follow each other while batches of the earlier ones still wait.
const SOURCES_KEPT: usize = 4;

/// Why a lane writes nothing at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// An operator paused it.
    Paused,
    /// The destination does not fit.
    Schema(Failure),
    /// The database failed; another try follows.
    Retry(Failure),
}

/// What a lane did in one turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// What was committed.
    pub written: Written,
    /// Messages that were recorded before.
    pub duplicates: u64,
    /// Payload bytes of the batches that are done.
    pub bytes: u64,
    /// Publish time of the newest message that is done.
    pub newest: Option<row::Timestamp>,
    /// Messages of its first transaction.
    pub tried: usize,
    /// How long it took.
    pub took: Duration,
    /// Acknowledgements to send once the commit is durable.
    pub replies: Vec<Subject>,
    /// What went wrong after that.
    pub failure: Option<Failure>,
}

/// Positions by stream, as this process has committed them.
///
/// They outlive a lane: where DROP EXTENSION has taken the record away, they are what is left of it.
pub type Positions = Vec<(Arc<Source>, Sequences)>;

/// One pipeline.
pub struct Lane {
    /// Number among this worker's pipelines.
    pub number: usize,
    /// Number among all pipelines, and on the status page.
    pub page: usize,
    /// Its settings.
    pub config: PipelineConfig,
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
    limit: usize,
}

impl Lane {
    /// A lane that has fetched nothing.
    pub fn new(
        number: usize,
        page: usize,
        config: PipelineConfig,
        write: &WriteConfig,
        positions: Positions,
    ) -> Self {
        let pipeline = &config.pipeline;
        let writer = Writer::new(&pipeline.name, pipeline.format, config.table.clone());
        Self {
            number,
            page,
            writer,
            config,
            hold: None,
            waiting: VecDeque::new(),
            positions,
            seeking: false,
            backoff: Backoff::new(write.retry_min, write.retry_max),
            try_at: None,
            limit: write.max_batch_rows,
        }
    }

    /// What is to be remembered when this lane ends.
    pub fn into_positions(self) -> (String, Positions) {
        (self.config.pipeline.name, self.positions)
    }

    /// The current stream and how far it is recorded.
    pub fn position(&self) -> Option<(&Source, &Sequences)> {
        self.positions
            .last()
            .map(|(source, position)| (source.as_ref(), position))
    }

    /// Messages that were fetched and are not written yet, as far as this side can count them.
    pub fn messages_in_memory(&self, handle: &Handle) -> u64 {
        let waiting: usize = self.waiting.iter().map(Batch::len).sum();
        (waiting + handle.ready(self.number) * self.config.pipeline.batch_size) as u64
    }

    /// Stops or resumes on an operator's word. What was fetched is dropped; the server keeps it.
    pub fn pause(&mut self, paused: bool, handle: &mut Handle) {
        if paused == (self.hold == Some(Hold::Paused)) {
            return;
        }
        self.waiting.clear();
        self.hold = paused.then_some(Hold::Paused);
        self.try_at = None;
        // A session that starts now asks for its position anyway.
        self.seeking = true;
        match paused {
            true => handle.stop(self.number),
            false => handle.start(self.number),
        }
    }

    /// Lets the session ask for its position once when an operator wants another one. Usually a
    /// paused session is started anyway; this is for a pause that was over before it was seen.
    pub fn seek(&mut self, wanted: bool, handle: &mut Handle) {
        if wanted && !self.seeking && self.hold != Some(Hold::Paused) {
            self.waiting.clear();
            handle.start(self.number);
        }
        self.seeking = wanted;
    }

    /// Answers the NATS side's question where the pipeline stands. What an operator has asked for
    /// with `sr_event_writer_seek` is done here, in one transaction with the record of it.
    ///
    /// # Errors
    /// What the database says; the question then waits for another try.
    pub fn resume(
        &mut self,
        request: ResumeRequest,
        handle: &mut Handle,
        limit: Duration,
    ) -> Result<(), Failure> {
        let name = self.config.pipeline.name.clone();
        let in_hand = self.in_hand(handle, &request.source);
        let known = |(source, _): &(Arc<Source>, Sequences)| **source == request.source;
        let remembered = self.positions.iter().position(known);
        let own = remembered.and_then(|at| self.positions.get(at));
        let own = own.map(|(_, position)| position.clone());
        // On an error the question is dropped, and the NATS side asks again.
        let outcome = transaction::run(limit, || {
            reconcile::reconcile(&name, &request, own.clone(), &in_hand)
        })?;
        let position = match outcome {
            seek::Outcome::At(position) => position,
            seek::Outcome::Needs(time) => {
                let _ = request.answer.send(Answer::LookUp(time));
                return Ok(());
            }
        };
        if let Some(at) = remembered {
            self.positions.remove(at);
        }
        self.positions
            .push((Arc::new(request.source), position.clone()));
        if self.positions.len() > SOURCES_KEPT {
            self.positions.remove(0);
        }
        // The session may have ended meanwhile; its successor asks again.
        let _ = request.answer.send(Answer::Position(position));
        Ok(())
    }

    /// What was fetched from this stream and is not written yet.
    fn in_hand(&mut self, handle: &mut Handle, source: &Source) -> Sequences {
        self.gather(handle, usize::MAX);
        let mut in_hand = Sequences::default();
        let batches = self.waiting.iter().filter(|batch| *batch.source == *source);
        for message in batches.flat_map(|batch| &batch.messages) {
            in_hand.insert(message.covers, message.sequence);
        }
        in_hand
    }

    /// Whether a turn could write something now, or when that may be.
    pub fn next_turn(&self, handle: &Handle, now: Instant) -> NextTurn {
        if self.hold == Some(Hold::Paused) {
            return NextTurn::Nothing;
        }
        match self.try_at {
            Some(at) if at > now => NextTurn::At(at),
            // A destination that did not fit is looked at again even when nothing waits.
            Some(_) => NextTurn::Now,
            None if self.waiting.is_empty() && handle.ready(self.number) == 0 => NextTurn::Nothing,
            None => NextTurn::Now,
        }
    }

    /// Writes one transaction's worth of what waits. `None` when nothing does.
    pub fn turn(
        &mut self,
        handle: &mut Handle,
        permission: Permission,
        process: &mut Process,
        config: &WriteConfig,
    ) -> Option<Turn> {
        let limit = match permission {
            Permission::Any => self.limit,
            Permission::Probe => self.limit.min(PROBE_MESSAGES),
            Permission::Wait(_) => return None,
        };
        self.gather(handle, limit);
        if config::fault() == Fault::AckBeforeCommit {
            self.acknowledge_all(handle);
        }
        if self.waiting.is_empty() {
            self.look_again(config);
            return None;
        }
        let started = Instant::now();
        let mut turn = match self.waiting.front().and_then(Batch::tail) {
            Some(tail) => self.settle(tail, config),
            None => self.write(limit, process, config),
        };
        turn.took = started.elapsed();
        self.after(&turn, config);
        Some(turn)
    }

    /// What must not be done: a message that is acknowledged now is lost if it is not written.
    fn acknowledge_all(&self, handle: &Handle) {
        let messages = self.waiting.iter().flat_map(|batch| &batch.messages);
        let replies = messages.map(|message| message.reply.clone());
        // As good as never: what has no room now is acknowledged after its commit, as it should be.
        let _ = handle.acknowledge(replies.collect());
    }

    /// Takes batches until a transaction is full.
    fn gather(&mut self, handle: &mut Handle, limit: usize) {
        let mut rows: usize = self.waiting.iter().map(size).sum();
        while rows < limit {
            let Some(batch) = handle.try_batch(self.number) else {
                return;
            };
            rows += size(&batch);
            self.waiting.push_back(batch);
        }
    }

    /// Looks a destination up that did not fit, although nothing waits to be written.
    fn look_again(&mut self, config: &WriteConfig) {
        match self.writer.probe(config.insert_timeout) {
            Ok(()) => self.free(),
            Err(failure) => self.hold_for(failure),
        }
    }

    /// Records that the stream holds nothing for this pipeline in a range.
    fn settle(&mut self, (first, last): (u64, u64), config: &WriteConfig) -> Turn {
        let Some(source) = self.waiting.front().map(|batch| batch.source.clone()) else {
            return Turn::default();
        };
        let whole_stream = self.waiting.front().is_some_and(|b| b.whole_stream);
        let passed = Passed {
            first,
            last,
            whole_stream,
        };
        let position = position_of(&mut self.positions, &source);
        let limit = config.insert_timeout;
        let failure = self.writer.pass_over(&source, &[passed], position, limit);
        let failure = failure.err();
        if failure.is_none() {
            self.waiting.pop_front();
        }
        Turn {
            failure,
            ..Turn::default()
        }
    }

    fn write(&mut self, limit: usize, process: &mut Process, config: &WriteConfig) -> Turn {
        let Some(source) = self.waiting.front().map(|batch| batch.source.clone()) else {
            return Turn::default();
        };
        let taken = self.batches_of(&source, limit);
        let position = position_of(&mut self.positions, &source);
        let batches = || self.waiting.iter().take(taken);
        // What lies between two deliveries is settled even when the later one was recorded before.
        // Otherwise a gap that ends without a message of this pipeline would stay open for ever.
        let passed = passed_before_recorded(batches(), position);
        if !passed.is_empty() {
            let limit = config.insert_timeout;
            if let Err(failure) = self.writer.pass_over(&source, &passed, position, limit) {
                return Turn {
                    failure: Some(failure),
                    ..Turn::default()
                };
            }
        }
        let fresh = work::unrecorded(batches(), &mut position.clone());
        let duplicates = batches().map(Batch::len).sum::<usize>() - work::count(&fresh);
        let name = &self.config.pipeline.name;
        let suspects = process.attempts.suspects(name).cloned();
        let messages = fresh.iter().flat_map(Run::iter);
        let together = suspects.as_ref().map(|s| s.limit(&source, messages));
        let runs = work::first(fresh, together.unwrap_or(limit).min(limit));
        let tried = work::count(&runs);
        let first = runs.iter().flat_map(Run::iter).next();
        let condemned = first
            .zip(suspects.as_ref())
            .is_some_and(|(first, suspects)| suspects.condemn(&source, first.sequence));
        let time = config.insert_timeout;
        let result = match condemned {
            false => self.writer.write(&source, runs, position, process, time),
            true => {
                let aside =
                    self.writer
                        .set_aside(&source, &runs, &crashes(), position, process, time);
                aside.map_err(|failure| (Written::default(), failure))
            }
        };
        if let Some(suspects) = suspects {
            // The next suspect may be the one that crashes: what was achieved has to outlive that.
            durable::flush_commits();
            if suspects.are_behind(&source, position.floor()) {
                process.attempts.acquit(name);
            }
        }
        let recorded =
            |batch: &&Batch| batch.messages.iter().all(|m| position.contains(m.sequence));
        let done = batches().take_while(recorded).count();
        let (written, failure) = match result {
            Ok(written) => (written, None),
            Err((written, failure)) => (written, Some(failure)),
        };
        let floor = position.floor();
        let newest = batches()
            .take(done)
            .filter_map(|b| b.messages.last())
            .map(|m| m.published);
        Turn {
            written,
            duplicates: if done == taken { duplicates as u64 } else { 0 },
            bytes: batches().take(done).map(|b| b.payload_bytes() as u64).sum(),
            newest: newest.max(),
            tried,
            took: Duration::ZERO,
            replies: self.finish(done, floor),
            failure,
        }
    }

    /// Number of batches at the front that one transaction takes: those of one stream, up to the
    /// limit, and at least one.
    fn batches_of(&self, source: &Arc<Source>, limit: usize) -> usize {
        let mut rows = 0;
        let fits = |batch: &&Batch| {
            let first = rows == 0;
            rows += size(batch);
            batch.tail().is_none() && batch.source == *source && (first || rows <= limit)
        };
        self.waiting.iter().take_while(fits).count()
    }

    /// Drops the first `count` batches and gives what acknowledges them. `floor` is how far the
    /// position has no holes: a message above it may not be acknowledged for those before it.
    fn finish(&mut self, count: usize, floor: u64) -> Vec<Subject> {
        let mut replies = Vec::new();
        let mut last: Option<(u64, Subject)> = None;
        for batch in self.waiting.drain(..count) {
            let acks = batch.acks;
            for message in batch.messages {
                match acks {
                    Acks::Each => replies.push(message.reply),
                    Acks::UpTo if message.sequence > floor => {}
                    Acks::UpTo => {
                        let newer = last
                            .as_ref()
                            .is_none_or(|(known, _)| message.sequence > *known);
                        if newer {
                            last = Some((message.sequence, message.reply));
                        }
                    }
                }
            }
        }
        replies.extend(last.map(|(_, reply)| reply));
        replies
    }

    fn after(&mut self, turn: &Turn, config: &WriteConfig) {
        match &turn.failure {
            None => {
                self.free();
                self.limit = (self.limit * 2).min(config.max_batch_rows);
            }
            Some(failure) => {
                if failure.wants_smaller_batch() && turn.tried > 0 {
                    self.limit = (self.limit.min(turn.tried) / 2).max(1);
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

/// When a lane has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextTurn {
    /// Now.
    Now,
    /// Not before this.
    At(Instant),
    /// When something comes.
    Nothing,
}

/// What a batch counts for: an array message may be many rows, a dead letter is none.
fn size(batch: &Batch) -> usize {
    batch.len().max(batch.rows().len())
}

/// What is wrong with a message that took the process down whenever it was tried.
fn crashes() -> Failure {
    let message = "the server process crashed each time it wrote this message";
    Failure::new("XX000", message)
}

/// What is open in the record right before messages that it has.
fn passed_before_recorded<'a>(
    batches: impl Iterator<Item = &'a Batch>,
    position: &Sequences,
) -> Vec<Passed> {
    let recorded = batches.flat_map(|batch| {
        let known = batch.messages.iter();
        let known = known.filter(|message| position.contains(message.sequence));
        known.map(move |message| Passed::before(message, batch))
    });
    recorded
        .filter(|passed| !position.missing(passed.first, passed.last).is_empty())
        .collect()
}

/// The position of a stream. Batches come only from streams whose position was asked for before.
fn position_of<'a>(positions: &'a mut Positions, source: &Arc<Source>) -> &'a mut Sequences {
    let known = positions.iter().position(|(s, _)| s == source);
    let at = known.unwrap_or_else(|| {
        positions.insert(0, (source.clone(), Sequences::default()));
        0
    });
    &mut positions[at].1
}
