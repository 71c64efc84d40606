//! A table of the user, and the two ways into it: COPY wherever that gives the same rows, and
//! `INSERT … SELECT` for the rest. Rows are written as the owner of the table.

mod columnstore;
mod copy;
mod copy_backoff;
mod insert;
mod lookup;
mod statement;
mod target;

pub use columnstore::Columnstore;
pub use copy::Stdin;
pub use insert::Insert;
pub use lookup::lookup_destination;
pub use target::Target;

use crate::pg::failure::Failure;
use copy_backoff::CopyBackoff;
use row::{RowSlices, Table};
use std::sync::Arc;

/// Below this number of rows the kept plan of the INSERT is quicker than parsing a COPY.
const COPY_ROWS: usize = 32;

/// Most groups of rows, by what is absent in them, that are copied; more of them are inserted.
const COPY_GROUPS_MAX: usize = 8;

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMethod {
    /// `COPY … FROM STDIN`.
    Copy,
    /// `INSERT … SELECT … ON CONFLICT`.
    Insert,
}

/// A destination that was looked up.
pub struct Destination {
    insert: Insert,
    columnstore: Columnstore,
    copy_backoff: CopyBackoff,
}

impl Destination {
    /// For rows of `table` into `target`.
    pub fn new(table: Arc<Table>, target: Target, columnstore: Columnstore) -> Self {
        Self {
            insert: Insert::new(table, target),
            columnstore,
            copy_backoff: CopyBackoff::default(),
        }
    }

    /// What was found out about the table.
    pub fn target(&self) -> &Target {
        &self.insert.target
    }

    /// Returns how to write a batch of this many rows.
    pub fn method(&self, rows: usize) -> WriteMethod {
        match self.target().copy.is_some() && rows >= COPY_ROWS && self.copy_backoff.is_over() {
            true => WriteMethod::Copy,
            false => WriteMethod::Insert,
        }
    }

    /// Writes rows and gives the number that were inserted or updated. Inside a transaction and an
    /// SPI connection.
    ///
    /// # Errors
    /// Raises PostgreSQL errors; returns what is refused otherwise.
    pub fn write(
        &mut self,
        method: WriteMethod,
        stdin: &mut Stdin,
        rows: &RowSlices<'_>,
    ) -> Result<u64, Failure> {
        match (&self.insert.target.copy, method) {
            (Some(_), WriteMethod::Copy) if rows.has_absent() => self.write_groups(stdin, rows),
            (Some(copy), WriteMethod::Copy) => {
                self.columnstore.prepare(rows.len());
                copy::write(stdin, &self.insert.target, copy, rows.iter())
            }
            _ => self.insert.write(rows),
        }
    }

    /// Copies rows that differ in what is absent, group by group. Their order does not matter: of
    /// two rows with the same key the second fails the COPY.
    fn write_groups(&mut self, stdin: &mut Stdin, rows: &RowSlices<'_>) -> Result<u64, Failure> {
        let groups = rows.groups(&self.insert.target.defaulted());
        let copies = groups.iter().take(COPY_GROUPS_MAX + 1);
        let copies = copies.map(|group| self.insert.copy_without(&group.absent).transpose());
        let copies: Option<Result<Vec<_>, _>> = copies.collect();
        let copies = match copies.transpose()? {
            Some(copies) if copies.len() <= COPY_GROUPS_MAX => copies,
            _ => return self.insert.write(rows),
        };
        let mut written = 0;
        for (copy, group) in copies.iter().zip(groups) {
            self.columnstore.prepare(group.rows.len());
            written += copy::write(stdin, &self.insert.target, copy, group.rows.into_iter())?;
        }
        Ok(written)
    }

    /// Counts a batch that was committed.
    pub fn succeeded(&mut self, method: WriteMethod) {
        self.copy_backoff.succeeded(method);
    }

    /// Inserts the next batches, after a taken key.
    pub fn back_off_copy(&mut self) {
        self.copy_backoff.begin();
    }
}
