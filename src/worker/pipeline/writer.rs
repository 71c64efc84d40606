//! Batches of one pipeline into the database: one transaction for rows, dead letters and position,
//! halved until a row that the table refuses stands alone.

use super::context::{WriteContext, WriteOutcome, Written};
use super::destinations::Destinations;
use super::selection::{self, MessageRange, SkippedRange};
use super::trust::{Blame, Trust};
use crate::catalog::dead_letter::{self, Letter, Stage};
use crate::catalog::{gap, position};
use crate::config::PipelineConfig;
use crate::destination::WriteMethod;
use crate::pg::failure::{Class, Failure};
use crate::pg::transaction;
use decode::FormatRef;
use nats::{DeadLetterMessage, Message, Sequences, StreamId, Witness};
use std::time::Duration;

/// Messages that are tried one by one before a table counts as one that takes none.
pub const SAMPLE: usize = 16;

/// Writes what one pipeline has fetched.
pub struct Writer {
    pipeline: String,
    format: FormatRef,
    destinations: Destinations,
    /// Samples taken, so that each is another one.
    samples: usize,
}

/// What one transaction is about.
#[derive(Clone, Copy)]
struct Step<'a> {
    runs: &'a [MessageRange<'a>],
    refused: Option<&'a Refused<'a>>,
    method: WriteMethod,
}

/// A message that the database refused on its own, and why.
struct Refused<'a> {
    sequence: u64,
    failure: &'a Failure,
}

impl Writer {
    /// Returns the writer of one pipeline.
    pub fn new(config: &PipelineConfig) -> Self {
        Self {
            pipeline: config.nats.name.clone(),
            format: config.nats.format.clone(),
            destinations: Destinations::new(config),
            samples: 0,
        }
    }

    /// Name of the pipeline.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Name of the destination, qualified once it was looked up.
    pub fn table(&self) -> &str {
        self.destinations.table()
    }

    /// Forgets what is known about the destinations: they may have changed.
    pub fn forget_targets(&mut self) {
        self.destinations.forget();
    }

    /// Whether the destinations were looked up and fit.
    pub fn fits(&self) -> bool {
        self.destinations.fit()
    }

    /// Looks the destinations up if that is not done, without writing anything.
    ///
    /// # Errors
    /// What does not fit, or what the database says.
    pub fn probe(&mut self, timeout: Duration) -> Result<(), Failure> {
        if self.destinations.fit() {
            return Ok(());
        }
        transaction::run(timeout, || self.destinations.look_up())
    }

    /// Writes `runs`, in as many transactions as it takes to find the rows that a table refuses.
    pub fn write(
        &mut self,
        runs: Vec<MessageRange<'_>>,
        context: &mut WriteContext<'_>,
    ) -> WriteOutcome {
        let mut done = WriteOutcome::default();
        let mut todo = vec![runs];
        let mut trust = Trust::default();
        // What the tables are like decides how a batch is written.
        if let Err(failure) = self.probe(context.timeout) {
            return Err(failure).into();
        }
        while let Some(runs) = todo.pop() {
            let method = self.destinations.method(&runs);
            let step = Step {
                runs: &runs,
                refused: None,
                method,
            };
            let result = match self.commit(&step, context) {
                Err(failure)
                    if failure.is_taken_key() && self.destinations.back_off_copy(method) =>
                {
                    todo.push(runs);
                    continue;
                }
                Err(failure) => match (self.blame(&failure, &trust), selection::count(&runs)) {
                    (Blame::Row, 0 | 1) => {
                        trust.spend(&failure);
                        self.commit_refused(&step, &failure, context)
                    }
                    (Blame::Row, _) => {
                        let (first, rest) = selection::split_half(&runs);
                        todo.extend([rest, first]);
                        continue;
                    }
                    (Blame::RowOrTable, _) => {
                        let open = std::iter::once(&runs).chain(&todo).flatten();
                        let open: Vec<MessageRange<'_>> = open.cloned().collect();
                        let step = Step {
                            runs: &open,
                            ..step
                        };
                        let sampled = self.sample(&step, failure, context);
                        todo = vec![selection::left(&open, context.position)];
                        sampled
                    }
                    (Blame::Other, _) => Err(failure),
                },
                written => written,
            };
            match result {
                Ok(written) => {
                    trust.gain(&written);
                    done.written.add(written);
                }
                Err(failure) => {
                    done.failure = Some(failure);
                    return done;
                }
            }
        }
        done
    }

    /// What an error of a write is about. Only a table that was looked up and fits can leave that
    /// open.
    fn blame(&self, failure: &Failure, trust: &Trust) -> Blame {
        match failure.class() {
            Class::Data => Blame::Row,
            Class::Schema if !self.destinations.fit() => Blame::Other,
            Class::Schema if trust.is_there() => Blame::Row,
            Class::Schema => Blame::RowOrTable,
            Class::Environment => Blame::Other,
        }
    }

    /// Writes one of the messages, to find out whether the table takes any. `failure` if it seems
    /// to take none.
    fn sample(
        &mut self,
        step: &Step<'_>,
        failure: Failure,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        if selection::count(step.runs) < 2 {
            return Err(failure);
        }
        self.samples = self.samples.wrapping_add(1);
        for run in selection::sample(step.runs, SAMPLE, self.samples) {
            let step = Step {
                runs: &[run],
                method: WriteMethod::Insert,
                ..*step
            };
            match self.commit(&step, context) {
                Ok(written) => return Ok(written),
                Err(failure) if failure.class() == Class::Environment => return Err(failure),
                // It may be just this one.
                Err(_) => {}
            }
        }
        Err(failure)
    }

    /// Keeps the only message of `runs` as a dead letter without trying to write its rows.
    ///
    /// # Errors
    /// What the database says.
    pub fn set_aside(
        &mut self,
        runs: &[MessageRange<'_>],
        failure: &Failure,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        let step = Step {
            runs,
            refused: None,
            method: WriteMethod::Insert,
        };
        self.commit_refused(&step, failure, context)
    }

    fn commit_refused(
        &mut self,
        step: &Step<'_>,
        failure: &Failure,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        let Some(message) = step.runs.iter().flat_map(MessageRange::iter).next() else {
            return Err(failure.clone());
        };
        let refused = Refused {
            sequence: message.sequence,
            failure,
        };
        let step = Step {
            refused: Some(&refused),
            ..*step
        };
        self.commit(&step, context)
    }

    /// One transaction.
    fn commit(
        &mut self,
        step: &Step<'_>,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        let (stream_id, resources) = (context.stream_id, &mut *context.resources);
        let passed = step.runs.iter().flat_map(|run| {
            let before = |message| SkippedRange::before(message, run.batch);
            run.iter().map(before)
        });
        let gaps = selection::missing_ranges(passed, context.position);
        let mut next = context.position.clone();
        for message in step.runs.iter().flat_map(MessageRange::iter) {
            next.insert(message.settles_from, message.sequence);
        }
        if let (None, Some(ends)) = (step.refused, selection::sequence_bounds(step.runs)) {
            resources
                .crash_journal
                .begin(&self.pipeline, stream_id, ends);
        }
        let written = transaction::run(context.timeout, || {
            let rows = match step.refused {
                None => self
                    .destinations
                    .write(step.runs, step.method, &mut resources.stdin)?,
                Some(_) => 0,
            };
            let dead_letters = self.keep_dead_letters(stream_id, step.runs, step.refused)?;
            let newest = step.runs.iter().flat_map(MessageRange::iter);
            let newest = newest.max_by_key(|message| message.sequence);
            self.keep_position(stream_id, &gaps, &next, newest.map(Message::witness))?;
            Ok(Written {
                messages: selection::count(step.runs) as u64,
                rows,
                dead_letters,
            })
        });
        // Not after a panic: that is a crash as any other.
        resources.crash_journal.end();
        let written = written?;
        *context.position = next;
        self.destinations.succeeded(step.method);
        Ok(written)
    }

    /// Records that nothing of this pipeline is left in some ranges, the last of which ends with
    /// the message `newest` if that is known.
    ///
    /// # Errors
    /// What the database says; nothing has changed then.
    pub fn pass_over(
        &self,
        passed: &[SkippedRange],
        newest: Option<Witness>,
        context: &mut WriteContext<'_>,
    ) -> Result<(), Failure> {
        let gaps = selection::missing_ranges(passed.iter().copied(), context.position);
        let mut next = context.position.clone();
        for range in passed {
            next.insert(range.first, range.last);
        }
        transaction::run(context.timeout, || {
            self.keep_position(context.stream_id, &gaps, &next, newest)
        })?;
        *context.position = next;
        Ok(())
    }

    /// Inside the transaction that passes over the gaps.
    fn keep_position(
        &self,
        stream_id: &StreamId,
        gaps: &[(u64, u64)],
        next: &Sequences,
        newest: Option<Witness>,
    ) -> Result<(), Failure> {
        gap::record_removed(&self.pipeline, stream_id, gaps)?;
        position::save(&self.pipeline, stream_id, next, newest)
    }

    fn keep_dead_letters(
        &self,
        stream_id: &StreamId,
        runs: &[MessageRange<'_>],
        refused: Option<&Refused<'_>>,
    ) -> Result<Vec<DeadLetterMessage>, Failure> {
        let mut kept = Vec::new();
        for message in runs.iter().flat_map(MessageRange::iter) {
            let (stage, failure) = match (&message.reject, refused) {
                (Some(reject), _) => (Stage::Decode, dead_letter::undecodable(reject)),
                (None, Some(refused)) if refused.sequence == message.sequence => {
                    (Stage::Insert, refused.failure.clone())
                }
                _ => continue,
            };
            let letter = Letter {
                pipeline: &self.pipeline,
                processor: self.format.name(),
                stream: &stream_id.name,
                message,
                stage,
                failure: &failure,
            };
            dead_letter::keep(&letter)?;
            kept.push(letter.notice());
        }
        Ok(kept)
    }
}
