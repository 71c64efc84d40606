//! The destinations of one pipeline, one for each table of its format: looked up when needed,
//! forgotten when they may have changed, and locked while they are written to.

use super::selection::{self, MessageRange};
use crate::config::{self, ColumnstoreOption, Fault, PipelineConfig};
use crate::destination::{self, ColumnstoreUse, Destination, Stdin, Target, WriteMethod};
use crate::pg::failure::Failure;
use crate::pg::invalidation;
use crate::pg::search_path::SearchPath;
use crate::pg::sql_state::SqlState;
use decode::FormatRef;
use pgrx::prelude::*;
use row::RowSlices;

/// Returns the names of a pipeline's destinations: those in its settings, else those of its
/// format.
pub fn configured_table(config: &PipelineConfig) -> String {
    let own = config.nats.format.tables().iter().enumerate();
    let names = own.map(|(number, table)| config.tables.get(number).unwrap_or(&table.name));
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The destinations of one pipeline.
pub struct Destinations {
    /// Name of the pipeline.
    pipeline: String,
    /// Format of the pipeline.
    format: FormatRef,
    /// Names in the settings, which replace the format's tables.
    configured_names: Vec<String>,
    /// Value of the pipeline's option `columnstore`.
    columnstore: ColumnstoreOption,
    /// One destination for each of the format's tables; empty until they are looked up.
    looked_up: Vec<Destination>,
    /// Names of the destinations, qualified when they were last looked up.
    table: String,
    /// Value of [`invalidation::changes`] when they were looked up.
    changes_seen: u64,
}

impl Destinations {
    /// Creates the destinations of a pipeline, without looking them up.
    pub fn new(config: &PipelineConfig) -> Self {
        Self {
            pipeline: config.nats.name.clone(),
            format: config.nats.format.clone(),
            configured_names: config.tables.clone(),
            columnstore: config.columnstore,
            looked_up: Vec::new(),
            table: configured_table(config),
            changes_seen: 0,
        }
    }

    /// Returns the names of the destinations: the qualified names once they were looked up, before
    /// that those in the settings or of the format.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Forgets the destinations, because they may have changed.
    pub fn forget(&mut self) {
        self.looked_up.clear();
    }

    /// Returns whether the destinations were looked up and fit the format.
    pub fn are_looked_up(&self) -> bool {
        !self.looked_up.is_empty()
    }

    /// Returns how to write the rows of messages to each destination.
    pub fn methods(&self, ranges: &[MessageRange<'_>]) -> Vec<WriteMethod> {
        let destinations = self.looked_up.iter().enumerate();
        destinations
            .map(|(table, destination)| destination.method(selection::rows(ranges, table).len()))
            .collect()
    }

    /// Uses INSERT instead of COPY for a while, where COPY was used and met a duplicate key.
    /// Returns whether COPY was used anywhere.
    pub fn back_off_copy(&mut self, methods: &[WriteMethod]) -> bool {
        for (destination, method) in self.looked_up.iter_mut().zip(methods) {
            if *method == WriteMethod::Copy {
                destination.back_off_copy();
            }
        }
        methods.contains(&WriteMethod::Copy)
    }

    /// Counts a committed batch, after enough of which COPY is tried again.
    pub fn succeeded(&mut self, methods: &[WriteMethod]) {
        for (table, destination) in self.looked_up.iter_mut().enumerate() {
            destination.succeeded(method_of(methods, table));
        }
    }

    /// Writes the rows of messages, by INSERT where `methods` has no entry. Returns how many were
    /// inserted or updated. Inside a transaction only.
    ///
    /// # Errors
    /// When a destination does not fit or is being changed, and those of the database.
    pub fn write(
        &mut self,
        ranges: &[MessageRange<'_>],
        methods: &[WriteMethod],
        stdin: &mut Stdin,
    ) -> Result<u64, Failure> {
        self.lock()?;
        let mut written = 0;
        for (table, destination) in self.looked_up.iter_mut().enumerate() {
            let rows = selection::rows(ranges, table);
            if rows.is_empty() {
                continue;
            }
            let absent = match config::fault() {
                Fault::NullIsAbsent => rows.with_nulls_absent(),
                _ => None,
            };
            let rows = absent.as_ref().map_or(rows, RowSlices::all);
            let method = method_of(methods, table);
            written += Spi::connect_mut(|_| destination.write(method, stdin, &rows))?;
        }
        Ok(written)
    }

    /// Looks the destinations up, and locks them against changes until the commit. Without the lock
    /// a COPY that waits for its own could write to a table that has become a hypertable meanwhile:
    /// TimescaleDB decides before that lock whether the table is one, so the rows would end up
    /// beside the chunks, where no query finds them.
    fn lock(&mut self) -> Result<(), Failure> {
        if self.changes_seen != invalidation::changes() {
            self.forget();
        }
        self.look_up()?;
        let targets = self.looked_up.iter().map(Destination::target);
        targets.for_each(|target| invalidation::lock(target.relation));
        match self.changes_seen == invalidation::changes() {
            true => Ok(()),
            // The snapshot of this transaction is too old to look them up again.
            false => Err(Failure::new(
                SqlState::SERIALIZATION_FAILURE,
                "the destination was changed at this moment",
            )),
        }
    }

    /// Looks up whether a destination's columnstore can be written to directly, if the pipeline's
    /// option asks for that. If it cannot, logs the reason.
    fn columnstore(&self, target: &Target) -> Result<ColumnstoreUse, Failure> {
        let found = match self.columnstore {
            ColumnstoreOption::Default => ColumnstoreUse::Unasked,
            ColumnstoreOption::Direct => ColumnstoreUse::look_up(target.relation)?,
        };
        if let ColumnstoreUse::Unfit(reason) = &found {
            let (pipeline, table) = (&self.pipeline, &target.name);
            pipeline_log!(
                pipeline,
                "columnstore=direct has no effect on {table}: {reason}"
            );
        }
        Ok(found)
    }

    /// Looks the destinations up if they are not known. Inside a transaction only.
    ///
    /// # Errors
    /// When a destination does not fit the format, and those of the database.
    pub fn look_up(&mut self) -> Result<(), Failure> {
        if !self.looked_up.is_empty() {
            return Ok(());
        }
        self.changes_seen = invalidation::changes();
        let tables = self.format.tables().iter().enumerate();
        self.looked_up = tables
            .map(|(number, table)| {
                let configured_name = self.configured_names.get(number).map(String::as_str);
                let target =
                    destination::lookup_destination(table, configured_name, SearchPath::OfSession)?;
                let columnstore = self.columnstore(&target)?;
                Ok(Destination::new(table.clone(), target, columnstore))
            })
            .collect::<Result<_, Failure>>()?;
        let names = self
            .looked_up
            .iter()
            .map(|first| first.target().name.as_str());
        self.table = names.collect::<Vec<_>>().join(", ");
        for destination in &self.looked_up {
            invalidation::watch(destination.target().relation);
        }
        Ok(())
    }
}

/// Returns the write method of a table, INSERT if `methods` has no entry.
fn method_of(methods: &[WriteMethod], table: usize) -> WriteMethod {
    let method = methods.get(table).copied();
    method.unwrap_or(WriteMethod::Insert)
}
