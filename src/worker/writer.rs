//! Batches of one pipeline into the database: one transaction for rows, dead letters and position,
//! halved until a row that the table refuses stands alone.

use super::dead_letter::{self, Letter, Stage};
use super::failure::{Class, Failure};
use super::insert::Insert;
use super::position;
use super::reconcile;
use super::relations;
use super::target;
use super::transaction;
use super::work::{self, Run};
use decode::Format;
use pgrx::prelude::*;
use std::time::Duration;
use stream::{Notice, Sequences, Source};

/// Writes what one pipeline has fetched.
pub struct Writer {
    pipeline: String,
    format: &'static dyn Format,
    /// Destination that the settings name instead of the format's first table.
    chosen: Option<String>,
    /// One for each of the format's tables, once looked up.
    inserts: Vec<Insert>,
    /// Qualified name of the destination when it was last looked up.
    table: Option<String>,
}

/// What a transaction did.
#[derive(Debug, Default)]
pub struct Written {
    /// Messages recorded.
    pub messages: u64,
    /// Rows inserted or updated.
    pub rows: u64,
    /// Messages kept as dead letters.
    pub dead_letters: Vec<Notice>,
}

impl Written {
    fn add(&mut self, other: Written) {
        self.messages += other.messages;
        self.rows += other.rows;
        self.dead_letters.extend(other.dead_letters);
    }
}

/// A message that the database refused on its own, and why.
struct Refused<'a> {
    sequence: u64,
    failure: &'a Failure,
}

impl Writer {
    /// For pipeline `pipeline`.
    pub fn new(pipeline: &str, format: &'static dyn Format, chosen: Option<String>) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            format,
            chosen,
            inserts: Vec::new(),
            table: None,
        }
    }

    /// Name of the destination: qualified once it was looked up, before that as the settings or
    /// the format say.
    pub fn table(&self) -> &str {
        let own = self.format.tables().first().map_or("", |table| table.name);
        let named = self.table.as_deref().or(self.chosen.as_deref());
        named.unwrap_or(own)
    }

    /// Forgets what is known about the destinations: they may have changed.
    pub fn forget_targets(&mut self) {
        self.inserts.clear();
    }

    /// Looks the destinations up if that is not done, without writing anything.
    ///
    /// # Errors
    /// What does not fit, or what the database says.
    pub fn probe(&mut self, limit: Duration) -> Result<(), Failure> {
        transaction::run(limit, || self.look_up())
    }

    /// Writes `runs`, and moves `position` along with every transaction that commits.
    ///
    /// # Errors
    /// The first failure that is not about a row. What was committed before stays recorded in
    /// `position`; the rest is to be tried again.
    pub fn write(
        &mut self,
        source: &Source,
        runs: Vec<Run<'_>>,
        position: &mut Sequences,
        limit: Duration,
    ) -> Result<Written, (Written, Failure)> {
        let mut done = Written::default();
        let mut todo = vec![runs];
        while let Some(runs) = todo.pop() {
            let result = match self.commit(source, &runs, position, None, limit) {
                Err(failure) if failure.class() == Class::Data => match work::count(&runs) {
                    0 | 1 => self.commit_refused(source, &runs, position, &failure, limit),
                    _ => {
                        let (first, rest) = work::halve(&runs);
                        todo.extend([rest, first]);
                        continue;
                    }
                },
                other => other,
            };
            match result {
                Ok(written) => done.add(written),
                Err(failure) => return Err((done, failure)),
            }
        }
        Ok(done)
    }

    fn commit_refused(
        &mut self,
        source: &Source,
        runs: &[Run<'_>],
        position: &mut Sequences,
        failure: &Failure,
        limit: Duration,
    ) -> Result<Written, Failure> {
        let Some(message) = runs.iter().flat_map(Run::iter).next() else {
            return Err(failure.clone());
        };
        let refused = Refused {
            sequence: message.sequence,
            failure,
        };
        self.commit(source, runs, position, Some(&refused), limit)
    }

    /// One transaction.
    fn commit(
        &mut self,
        source: &Source,
        runs: &[Run<'_>],
        position: &mut Sequences,
        refused: Option<&Refused<'_>>,
        limit: Duration,
    ) -> Result<Written, Failure> {
        let gaps = gaps(runs, position);
        let mut next = position.clone();
        for message in runs.iter().flat_map(Run::iter) {
            next.insert(message.covers, message.sequence);
        }
        let written = transaction::run(limit, || {
            let rows = if refused.is_none() {
                self.insert(runs)?
            } else {
                0
            };
            let dead_letters = self.keep_dead_letters(source, runs, refused)?;
            for gap in &gaps {
                reconcile::record(&self.pipeline, source, *gap)?;
            }
            position::save(&self.pipeline, source, &next)?;
            Ok(Written {
                messages: work::count(runs) as u64,
                rows,
                dead_letters,
            })
        })?;
        *position = next;
        Ok(written)
    }

    fn insert(&mut self, runs: &[Run<'_>]) -> Result<u64, Failure> {
        self.look_up()?;
        let mut written = 0;
        for (table, insert) in self.inserts.iter_mut().enumerate() {
            let range = |run: &Run<'_>| run.batch.rows_of(&run.messages, table);
            if runs.iter().all(|run| range(run).is_empty()) {
                continue;
            }
            let rows = runs.iter().filter_map(|run| {
                let range = range(run);
                run.batch
                    .rows()
                    .tables()
                    .get(table)
                    .map(|rows| rows.range(range))
            });
            written += Spi::connect_mut(|_| insert.write(rows.flatten()))?;
        }
        Ok(written)
    }

    fn keep_dead_letters(
        &self,
        source: &Source,
        runs: &[Run<'_>],
        refused: Option<&Refused<'_>>,
    ) -> Result<Vec<Notice>, Failure> {
        let mut kept = Vec::new();
        for message in runs.iter().flat_map(Run::iter) {
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
                stream: &source.stream,
                message,
                stage,
                failure: &failure,
            };
            dead_letter::keep(&letter)?;
            kept.push(letter.notice());
        }
        Ok(kept)
    }

    fn look_up(&mut self) -> Result<(), Failure> {
        if !self.inserts.is_empty() {
            return Ok(());
        }
        let tables = self.format.tables().iter().enumerate();
        self.inserts = tables
            .map(|(number, table)| {
                let chosen = self.chosen.as_deref().filter(|_| number == 0);
                Ok(Insert::new(table, target::find(table, chosen)?))
            })
            .collect::<Result<_, Failure>>()?;
        self.table = self
            .inserts
            .first()
            .map(|insert| insert.target.name.clone());
        for insert in &self.inserts {
            relations::watch(insert.target.relation);
        }
        Ok(())
    }
}

/// Sequences that were skipped in streams of which every sequence should come.
fn gaps(runs: &[Run<'_>], position: &Sequences) -> Vec<(u64, u64)> {
    let whole = runs.iter().filter(|run| run.batch.whole_stream);
    whole
        .flat_map(Run::iter)
        .filter(|message| message.covers < message.sequence)
        .flat_map(|message| position.missing(message.covers, message.sequence - 1))
        .collect()
}
