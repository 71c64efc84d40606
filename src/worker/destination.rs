//! One destination and the two ways into it: COPY wherever that gives the same rows, and
//! `INSERT … SELECT` for the rest. Where the table has a unique key COPY is a hope: the first taken
//! key ends it for a while, since a batch that fails costs twice.

use super::columnstore::Columnstore;
use super::copy::{self, Input};
use super::insert::Insert;
use super::target::Target;
use crate::pg::failure::Failure;
use row::{Row, Table};

/// Below this number of rows the kept plan of the INSERT is quicker than parsing a COPY.
const COPY_ROWS: usize = 32;
/// Batches that are inserted after a taken key before COPY is tried again; doubles each time.
const FIRST_DETOUR: u32 = 16;
const LONGEST_DETOUR: u32 = 4_096;

/// The way that a batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `COPY … FROM STDIN`.
    Copy,
    /// `INSERT … SELECT … ON CONFLICT`.
    Insert,
}

/// A destination that was looked up.
pub struct Destination {
    insert: Insert,
    columnstore: Columnstore,
    detour: Detour,
}

impl Destination {
    /// For rows of `table` into `target`.
    pub fn new(table: &'static Table, target: Target, columnstore: Columnstore) -> Self {
        Self {
            insert: Insert::new(table, target),
            columnstore,
            detour: Detour::default(),
        }
    }

    /// What was found out about the table.
    pub fn target(&self) -> &Target {
        &self.insert.target
    }

    /// The way for a batch of this many rows.
    pub fn way(&self, rows: usize) -> Way {
        match self.target().copy.is_some() && rows >= COPY_ROWS && self.detour.over() {
            true => Way::Copy,
            false => Way::Insert,
        }
    }

    /// Writes `count` rows and gives the number that were inserted or updated. Inside a transaction and an
    /// SPI connection.
    ///
    /// # Errors
    /// Raises PostgreSQL errors; returns what is refused otherwise.
    pub fn write<'a>(
        &mut self,
        way: Way,
        input: &mut Input,
        count: usize,
        rows: impl Iterator<Item = Row<'a>>,
    ) -> Result<u64, Failure> {
        match (&self.insert.target.copy, way) {
            (Some(copy), Way::Copy) => {
                let target = &self.insert.target;
                self.columnstore.prepare(count);
                copy::write(input, target, copy, rows)
            }
            _ => self.insert.write(rows),
        }
    }

    /// After a commit on this way.
    pub fn succeeded(&mut self, way: Way) {
        self.detour.passed(way);
    }

    /// A key was taken: the next batches are inserted.
    pub fn begin_detour(&mut self) {
        self.detour.begin();
    }
}

/// How long COPY is not tried.
#[derive(Debug, Default)]
struct Detour {
    left: u32,
    length: u32,
}

impl Detour {
    fn over(&self) -> bool {
        self.left == 0
    }

    fn begin(&mut self) {
        self.length = (self.length * 2).clamp(FIRST_DETOUR, LONGEST_DETOUR);
        self.left = self.length;
    }

    fn passed(&mut self, way: Way) {
        match way {
            Way::Copy => self.length /= 2,
            Way::Insert => self.left = self.left.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detour_gets_longer_while_keys_are_taken_and_shorter_when_they_are_not() {
        let mut detour = Detour::default();
        assert!(detour.over());
        for expected in [16, 32, 64] {
            detour.begin();
            for _ in 0..expected {
                assert!(!detour.over());
                detour.passed(Way::Insert);
            }
            assert!(detour.over());
        }
        detour.passed(Way::Copy);
        detour.begin();
        assert_eq!(detour.left, 64);
    }
}
