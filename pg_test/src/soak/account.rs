//! The comparison of what was published with what the database holds. Pure, so that it can be shown
//! to find what is wrong.

use std::collections::{BTreeMap, HashMap};

use crate::feed::Feed;

/// What is to have become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// One row.
    Row,
    /// One dead letter.
    Letter,
    /// It was removed from its stream: a gap, unless it had become a row or a dead letter before.
    Removed(Removed),
}

/// Where a removed message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Creation of the stream, in microseconds since 1970.
    pub created: i64,
    /// Its sequence there.
    pub sequence: u64,
}

/// A dead letter: the number of its message, if that can be told.
pub type Letter = Option<u64>;

/// What the database holds of one stream.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// For the number of a message, how many rows there are of it.
    pub rows: HashMap<u64, u32>,
    /// All dead letters.
    pub letters: Vec<Letter>,
    /// Recorded gaps: creation of the stream, first and last sequence.
    pub gaps: Vec<(i64, u64, u64)>,
}

/// The difference. A message is named by its stream and number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages published.
    pub published: u64,
    /// Rows found.
    pub rows: u64,
    /// Dead letters found.
    pub letters: u64,
    /// Removed messages that stand in a recorded gap.
    pub in_gaps: u64,
    /// Neither row nor dead letter, although nobody removed it. A gap is no excuse.
    pub lost: Vec<(Feed, u64)>,
    /// More than one row and dead letter together.
    pub duplicated: Vec<(Feed, u64)>,
    /// Removed before it was read, and not in `stream_gap`.
    pub unrecorded: Vec<(Feed, u64)>,
    /// A row that should be a dead letter, or the other way round.
    pub misplaced: Vec<(Feed, u64)>,
    /// Rows and dead letters of messages that were never published.
    pub unexplained: u64,
}

impl Account {
    /// Takes account of all streams.
    pub fn of(expected: &BTreeMap<Feed, Vec<Expected>>, found: &BTreeMap<Feed, Found>) -> Self {
        let mut account = Self::default();
        let nothing = Found::default();
        for (&feed, expected) in expected {
            account.add(feed, expected, found.get(&feed).unwrap_or(&nothing));
        }
        account
    }

    /// Whether every message is accounted for.
    pub fn is_even(&self) -> bool {
        let differences = [
            &self.lost,
            &self.duplicated,
            &self.unrecorded,
            &self.misplaced,
        ];
        differences.iter().all(|messages| messages.is_empty()) && self.unexplained == 0
    }

    fn add(&mut self, feed: Feed, expected: &[Expected], found: &Found) {
        let mut letters: HashMap<u64, u32> = HashMap::new();
        for letter in &found.letters {
            match letter {
                Some(number) => *letters.entry(*number).or_default() += 1,
                None => self.unexplained += 1,
            }
        }
        self.published += expected.len() as u64;
        self.rows += found
            .rows
            .values()
            .map(|&rows| u64::from(rows))
            .sum::<u64>();
        self.letters += found.letters.len() as u64;
        let unknown = |number: &&u64| **number >= expected.len() as u64;
        let strangers = found.rows.keys().chain(letters.keys()).filter(unknown);
        self.unexplained += strangers.count() as u64;
        for (number, expected) in (0..).zip(expected) {
            let count = |of: &HashMap<u64, u32>| of.get(&number).copied().unwrap_or(0);
            let (rows, letters) = (count(&found.rows), count(&letters));
            let message = (feed, number);
            match (rows + letters, expected) {
                (0, Expected::Removed(removed)) if found.has_gap(removed) => self.in_gaps += 1,
                (0, Expected::Removed(_)) => self.unrecorded.push(message),
                (0, _) => self.lost.push(message),
                (2.., _) => self.duplicated.push(message),
                (1, Expected::Row) if rows == 0 => self.misplaced.push(message),
                (1, Expected::Letter) if letters == 0 => self.misplaced.push(message),
                (1, _) => {}
            }
        }
    }
}

impl Found {
    fn has_gap(&self, removed: &Removed) -> bool {
        self.gaps.iter().any(|&(created, first, last)| {
            created == removed.created && (first..=last).contains(&removed.sequence)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: Feed = Feed::Logs;

    fn account(expected: &[Expected], rows: &[u64], letters: &[Letter]) -> Account {
        let mut found = Found {
            letters: letters.to_vec(),
            gaps: vec![(5, 10, 12)],
            ..Found::default()
        };
        rows.iter()
            .for_each(|&row| *found.rows.entry(row).or_default() += 1);
        Account::of(&[(FEED, expected.to_vec())].into(), &[(FEED, found)].into())
    }

    fn removed(created: i64, sequence: u64) -> Expected {
        Expected::Removed(Removed { created, sequence })
    }

    #[test]
    fn what_is_right_is_even() {
        let expected = [
            Expected::Row,
            Expected::Letter,
            removed(5, 11),
            removed(5, 99),
        ];
        let account = account(&expected, &[0, 3], &[Some(1)]);
        assert!(account.is_even(), "{account:?}");
        assert_eq!((account.rows, account.letters, account.in_gaps), (2, 1, 1));
    }

    #[test]
    fn a_message_that_nobody_removed_is_lost_whatever_the_gaps_say() {
        let account = account(&[Expected::Row, Expected::Letter], &[], &[]);
        assert_eq!(account.lost, [(FEED, 0), (FEED, 1)]);
        assert!(!account.is_even());
    }

    #[test]
    fn a_removed_message_without_its_gap_is_told() {
        let account = account(&[removed(5, 9), removed(6, 11)], &[], &[]);
        assert_eq!(account.unrecorded, [(FEED, 0), (FEED, 1)]);
        assert!(!account.is_even());
    }

    #[test]
    fn two_of_anything_are_a_duplicate() {
        let expected = [
            Expected::Row,
            Expected::Letter,
            Expected::Row,
            removed(5, 10),
        ];
        let account = account(&expected, &[0, 0, 2, 3, 3], &[Some(1), Some(1), Some(2)]);
        assert_eq!(
            account.duplicated,
            [(FEED, 0), (FEED, 1), (FEED, 2), (FEED, 3)]
        );
        assert!(!account.is_even());
    }

    #[test]
    fn a_good_message_set_aside_and_a_bad_one_written_are_told() {
        let account = account(&[Expected::Row, Expected::Letter], &[1], &[Some(0)]);
        assert_eq!(account.misplaced, [(FEED, 0), (FEED, 1)]);
        assert!(!account.is_even());
    }

    #[test]
    fn what_was_never_published_is_told() {
        let account = account(&[Expected::Row], &[0, 7], &[None, Some(8)]);
        assert_eq!(account.unexplained, 3);
        assert!(!account.is_even());
    }
}
