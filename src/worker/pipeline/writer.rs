//! Writes the batches of one pipeline to the database: all together, and in halves until a row that
//! the table refuses stands alone. One transaction is in [`transaction`](mod@transaction).

mod transaction;

use super::context::{WriteContext, WriteOutcome, Written};
use super::destinations::Destinations;
use super::failure_cause::{DeadLetterAllowance, FailureCause};
use super::selection::{self, MessageRange};
use crate::config::PipelineConfig;
use crate::pg;
use crate::pg::failure::{Class, Failure};
use decode::FormatRef;
use std::time::Duration;
use transaction::TransactionInput;

/// Messages that are tried one by one before the worker concludes that a table accepts no rows.
pub const SAMPLE_SIZE: usize = 16;

/// The state of a bisection: the parts that are still to be written, and how far the table is
/// trusted.
struct Bisection<'b> {
    /// Parts to write; the last one is next.
    todo: Vec<Vec<MessageRange<'b>>>,
    /// Dead letters that may still be made before the table counts as broken.
    allowance: DeadLetterAllowance,
}

/// Writes the fetched messages of one pipeline.
pub struct Writer {
    /// Name of the pipeline.
    pipeline: String,
    /// Format of the pipeline.
    format: FormatRef,
    destinations: Destinations,
    /// Number of samples taken, so that each one consists of other messages.
    samples: usize,
}

impl Writer {
    /// Creates the writer of one pipeline.
    pub fn new(config: &PipelineConfig) -> Self {
        Self {
            pipeline: config.nats.name.clone(),
            format: config.nats.format.clone(),
            destinations: Destinations::new(config),
            samples: 0,
        }
    }

    /// Returns the name of the pipeline.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Returns the name of the destination, qualified once it was looked up.
    pub fn table(&self) -> &str {
        self.destinations.table()
    }

    /// Forgets the destinations, because they may have changed.
    pub fn forget_destinations(&mut self) {
        self.destinations.forget();
    }

    /// Returns whether the destinations were looked up and fit the format.
    pub fn has_destinations(&self) -> bool {
        self.destinations.are_looked_up()
    }

    /// Looks the destinations up if they are not known, without writing anything.
    ///
    /// # Errors
    /// When a destination does not fit the format, and those of the database.
    pub fn probe(&mut self, timeout: Duration) -> Result<(), Failure> {
        if self.destinations.are_looked_up() {
            return Ok(());
        }
        pg::transaction::run(timeout, || self.destinations.look_up())
    }

    /// Writes `ranges`, in as many transactions as it takes to find the rows that a table refuses.
    pub fn write(
        &mut self,
        ranges: Vec<MessageRange<'_>>,
        context: &mut WriteContext<'_>,
    ) -> WriteOutcome {
        // The choice between COPY and INSERT depends on the tables.
        if let Err(failure) = self.probe(context.timeout) {
            return Err(failure).into();
        }
        let mut outcome = WriteOutcome::default();
        let mut bisection = Bisection {
            todo: vec![ranges],
            allowance: DeadLetterAllowance::default(),
        };
        while let Some(ranges) = bisection.todo.pop() {
            let methods = self.destinations.methods(&ranges);
            let input = TransactionInput {
                ranges: &ranges,
                failed: None,
                methods: &methods,
            };
            let written = match self.commit(&input, context) {
                Err(failure) => self.divide(&input, failure, &mut bisection, context),
                written => written,
            };
            match written {
                Ok(written) => {
                    bisection.allowance.restore(&written);
                    outcome.written.add(written);
                }
                Err(failure) => {
                    outcome.failure = Some(failure);
                    return outcome;
                }
            }
        }
        outcome
    }

    /// Divides the input of a failed transaction into smaller ones, until a row that caused the
    /// failure stands alone. Returns what was written meanwhile, or the failure if no row has
    /// caused it.
    fn divide<'b>(
        &mut self,
        input: &TransactionInput<'_, 'b>,
        failure: Failure,
        bisection: &mut Bisection<'b>,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        let todo = &mut bisection.todo;
        if failure.is_taken_key() && self.destinations.back_off_copy(input.methods) {
            todo.push(input.ranges.to_vec());
            return Ok(Written::default());
        }
        match (
            self.failure_cause(&failure, &bisection.allowance),
            selection::count(input.ranges),
        ) {
            (FailureCause::Row, 0 | 1) => {
                bisection.allowance.reduce(&failure);
                self.commit_dead_letter(input, &failure, context)
            }
            (FailureCause::Row, _) => {
                let (first, rest) = selection::split_half(input.ranges);
                todo.extend([rest, first]);
                Ok(Written::default())
            }
            (FailureCause::RowOrTable, _) => {
                let open = input.ranges.iter().chain(todo.iter().flatten());
                let open: Vec<MessageRange<'b>> = open.cloned().collect();
                let all = TransactionInput {
                    ranges: &open,
                    ..*input
                };
                let sampled = self.sample(&all, failure, context);
                *todo = vec![selection::still_unrecorded(&open, context.position)];
                sampled
            }
            (FailureCause::NotARow, _) => Err(failure),
        }
    }

    /// Returns what has caused a failed write. Only if the table was looked up and fits can it be
    /// either the row or the table.
    fn failure_cause(&self, failure: &Failure, allowance: &DeadLetterAllowance) -> FailureCause {
        match failure.class() {
            Class::Data => FailureCause::Row,
            Class::Schema if !self.destinations.are_looked_up() => FailureCause::NotARow,
            Class::Schema if allowance.is_left() => FailureCause::Row,
            Class::Schema => FailureCause::RowOrTable,
            Class::Environment => FailureCause::NotARow,
        }
    }

    /// Writes one of the messages, to find out whether the table accepts any. Returns `failure` if
    /// it seems to accept none.
    fn sample(
        &mut self,
        input: &TransactionInput<'_, '_>,
        failure: Failure,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        if selection::count(input.ranges) < 2 {
            return Err(failure);
        }
        self.samples = self.samples.wrapping_add(1);
        for range in selection::sample(input.ranges, SAMPLE_SIZE, self.samples) {
            let input = TransactionInput {
                ranges: &[range],
                methods: &[],
                ..*input
            };
            match self.commit(&input, context) {
                Ok(written) => return Ok(written),
                Err(failure) if failure.class() == Class::Environment => return Err(failure),
                // Perhaps the table refuses this message only.
                Err(_) => {}
            }
        }
        Err(failure)
    }

    /// Makes the only message of `ranges` a dead letter without trying to write its rows.
    ///
    /// # Errors
    /// Those of the database.
    pub fn write_dead_letter(
        &mut self,
        ranges: &[MessageRange<'_>],
        failure: &Failure,
        context: &mut WriteContext<'_>,
    ) -> Result<Written, Failure> {
        let input = TransactionInput {
            ranges,
            failed: None,
            methods: &[],
        };
        self.commit_dead_letter(&input, failure, context)
    }
}
