//! Whether an error that is usually about a table is about a row this time: a table that takes
//! other rows is in order. Pure.

use super::context::Written;
use crate::pg::failure::{Class, Failure};

/// Messages that may be set aside before the table has to take another one. Should it break in the
/// middle of a batch, no more than these are mistaken.
const MISTAKES: u32 = 16;

/// What an error of a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// A row: halve until it stands alone.
    Row,
    /// Either: other rows will tell.
    RowOrTable,
    /// No row, for sure.
    Other,
}

/// How much a table is trusted to take rows.
#[derive(Debug, Default)]
pub struct Trust(u32);

impl Trust {
    /// Whether the table took a message not long ago.
    pub fn is_there(&self) -> bool {
        self.0 > 0
    }

    /// After a transaction.
    pub fn gain(&mut self, written: &Written) {
        if written.any() {
            self.0 = MISTAKES;
        }
    }

    /// Before a message is set aside for this.
    pub fn spend(&mut self, failure: &Failure) {
        if failure.class() == Class::Schema {
            self.0 = self.0.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::sql_state::SqlState;

    #[test]
    fn a_table_that_breaks_in_the_middle_is_soon_no_longer_trusted() {
        let mut trust = Trust::default();
        assert!(!trust.is_there());
        let written = Written {
            messages: 1,
            ..Written::default()
        };
        trust.gain(&written);
        let (row, table) = (
            Failure::new(SqlState::DATA_EXCEPTION, ""),
            Failure::new(SqlState::INSUFFICIENT_PRIVILEGE, ""),
        );
        (0..100).for_each(|_| trust.spend(&row));
        for _ in 0..MISTAKES {
            assert!(trust.is_there());
            trust.spend(&table);
        }
        assert!(!trust.is_there());
        trust.gain(&Written::default());
        assert!(!trust.is_there());
    }
}
