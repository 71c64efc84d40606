//! Decides whether an error that is normally about a table is about a row: a table that accepts
//! other rows is not broken. Pure: neither the database nor NATS is used here.

use super::context::Written;
use crate::pg::failure::{Class, Failure};

/// Dead letters that may be made before the table has to accept another message. If the table
/// breaks in the middle of a batch, no more than this many good messages become dead letters.
const MISTAKES: u32 = 16;

/// The cause of a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// A row: split the messages in half until it stands alone.
    Row,
    /// A row or the table: writing other rows decides.
    RowOrTable,
    /// Something else, certainly not a row.
    Other,
}

/// The number of dead letters that may still be made before a table counts as broken.
#[derive(Debug, Default)]
pub struct Trust(u32);

impl Trust {
    /// Returns whether the table accepted a message recently.
    pub fn is_there(&self) -> bool {
        self.0 > 0
    }

    /// Restores the trust after a transaction in which the table accepted a message.
    pub fn gain(&mut self, written: &Written) {
        if written.any() {
            self.0 = MISTAKES;
        }
    }

    /// Reduces the trust, before a message becomes a dead letter because of `failure`.
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
