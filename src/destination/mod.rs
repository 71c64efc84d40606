//! Destination tables, and the two ways to write to them: COPY wherever that gives the same rows,
//! and `INSERT … SELECT` for the rest. Rows are written as the owner of the table.

mod columnstore;
mod copy;
mod copy_backoff;
mod insert;
mod lookup;
mod statement;
mod target;
mod tuple;

pub use columnstore::ColumnstoreUse;
pub use copy::Stdin;
pub use insert::Insert;
pub use lookup::lookup_destination;
pub use target::Target;

use crate::pg::failure::Failure;
use copy_backoff::CopyBackoff;
use row::{RowSlices, Table};
use std::sync::Arc;

/// The smallest number of rows for COPY. Below it an INSERT is faster, because its plan is cached,
/// whereas each COPY is parsed.
const COPY_ROWS: usize = 32;

/// The largest number of groups, by absent columns, that are copied one by one. Batches with more
/// groups are inserted.
const COPY_GROUPS_MAX: usize = 8;

/// The statement that writes a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMethod {
    /// `COPY … FROM STDIN`.
    Copy,
    /// `INSERT … SELECT … ON CONFLICT`.
    Insert,
}

/// A destination that was looked up in the catalogs.
pub struct Destination {
    insert: Insert,
    columnstore: ColumnstoreUse,
    copy_backoff: CopyBackoff,
}

impl Destination {
    /// Creates a destination that writes rows of `table` to `target`.
    pub fn new(table: Arc<Table>, target: Target, columnstore: ColumnstoreUse) -> Self {
        Self {
            insert: Insert::new(table, target),
            columnstore,
            copy_backoff: CopyBackoff::default(),
        }
    }

    /// Returns what the catalogs say about the table.
    pub fn target(&self) -> &Target {
        &self.insert.target
    }

    /// Returns the method for a batch of `rows` rows.
    pub fn method(&self, rows: usize) -> WriteMethod {
        match self.target().copy.is_some() && rows >= COPY_ROWS && self.copy_backoff.is_over() {
            true => WriteMethod::Copy,
            false => WriteMethod::Insert,
        }
    }

    /// Writes rows and returns the number that were inserted or updated. Call it inside a
    /// transaction and an SPI connection.
    ///
    /// # Errors
    /// Errors of PostgreSQL are raised. Returned are those of the operating system and of SPI, and
    /// a name that contains a NUL byte.
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

    /// Copies rows with different absent columns, group by group. Their order does not matter: if
    /// two rows have the same key, the second one fails the COPY in any order.
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

    /// Records that a batch was committed.
    pub fn succeeded(&mut self, method: WriteMethod) {
        self.copy_backoff.succeeded(method);
    }

    /// Makes the next batches use INSERT, after a duplicate key.
    pub fn back_off_copy(&mut self) {
        self.copy_backoff.begin();
    }
}
