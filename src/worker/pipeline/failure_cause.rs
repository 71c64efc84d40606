//! Decides whether an error that is normally about a table is about a row: a table that accepts
//! other rows is not broken. Pure: neither the database nor NATS is used here.

use super::context::Written;
use crate::pg::failure::{Class, Failure};

/// Dead letters that may be made before the table has to accept another message. If the table
/// breaks in the middle of a batch, no more than this many good messages become dead letters.
const MAX_UNPROVEN_DEAD_LETTERS: u32 = 16;

/// The cause of a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// A row: split the messages in half until it stands alone.
    Row,
    /// A row or the table: writing other rows decides.
    RowOrTable,
    /// Something else, certainly not a row.
    NotARow,
}

/// The number of dead letters that may still be made before a table counts as broken.
#[derive(Debug, Default)]
pub struct DeadLetterAllowance(u32);

impl DeadLetterAllowance {
    /// Returns whether the table accepted a message recently.
    pub fn is_left(&self) -> bool {
        self.0 > 0
    }

    /// Restores the allowance after a transaction in which the table accepted a message.
    pub fn restore(&mut self, written: &Written) {
        if written.accepted_any() {
            self.0 = MAX_UNPROVEN_DEAD_LETTERS;
        }
    }

    /// Reduces the allowance, before a message becomes a dead letter because of `failure`.
    pub fn reduce(&mut self, failure: &Failure) {
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
    fn a_table_that_breaks_in_the_middle_soon_counts_as_broken() {
        let mut allowance = DeadLetterAllowance::default();
        assert!(!allowance.is_left());
        let written = Written {
            messages: 1,
            ..Written::default()
        };
        allowance.restore(&written);
        let (row, table) = (
            Failure::new(SqlState::DATA_EXCEPTION, ""),
            Failure::new(SqlState::INSUFFICIENT_PRIVILEGE, ""),
        );
        (0..100).for_each(|_| allowance.reduce(&row));
        for _ in 0..MAX_UNPROVEN_DEAD_LETTERS {
            assert!(allowance.is_left());
            allowance.reduce(&table);
        }
        assert!(!allowance.is_left());
        allowance.restore(&Written::default());
        assert!(!allowance.is_left());
    }
}
