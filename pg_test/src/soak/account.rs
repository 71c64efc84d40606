//! Compares the published messages with the content of the database. Pure, so that a test can prove
//! that it detects errors.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::feed::Feed;

/// The expected result of a message that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// One row.
    Row,
    /// A dead letter, because it cannot be decoded.
    Undecodable,
    /// A dead letter, because the client library cannot parse its subject or headers.
    Unreadable,
    /// A dead letter, because the table refuses its row.
    Refused,
    /// A dead letter, because it crashes the process that writes it.
    Crashing,
}

/// A published message, as far as the comparison needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its result if it is read.
    pub fate: Fate,
    /// Its place, if it was removed from its stream. It is in a gap, unless it was read before.
    pub removed: Option<Removed>,
    /// Hash of its row or dead letter, if known.
    pub content: Option<i64>,
}

/// The place of a removed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Creation time of the stream, in microseconds since 1970.
    pub created: i64,
    /// Its sequence in the stream.
    pub sequence: u64,
}

/// The content of the database for one stream.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Hashes of all rows of each message, by the message's number.
    pub rows: HashMap<u64, Vec<i64>>,
    /// All dead letters: the message's number, if known, and the hash.
    pub letters: Vec<(Option<u64>, i64)>,
    /// Recorded gaps: creation time of the stream in microseconds since 1970, first and last
    /// sequence.
    pub gaps: Vec<(i64, u64, u64)>,
}

/// The result of the comparison. A message is identified by its stream and number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages published.
    pub published: u64,
    /// Rows found.
    pub rows: u64,
    /// Dead letters found.
    pub letters: u64,
    /// Removed messages that are in a recorded gap.
    pub in_gaps: u64,
    /// Messages that are neither a row nor a dead letter although nobody removed them. A gap is no
    /// excuse.
    pub lost: Vec<(Feed, u64)>,
    /// Messages that are more than one row or dead letter.
    pub duplicated: Vec<(Feed, u64)>,
    /// Messages that were removed before they were read, and are not in `stream_gap`.
    pub unrecorded: Vec<(Feed, u64)>,
    /// Messages whose row or dead letter has other content than the message.
    pub wrong: Vec<(Feed, u64)>,
    /// Messages that are a row and should be a dead letter, or the other way round.
    pub misplaced: Vec<(Feed, u64)>,
    /// Number of sequences in recorded gaps that nobody removed.
    pub too_wide: u64,
    /// Number of rows and dead letters of messages that were never published.
    pub unexplained: u64,
}

impl Account {
    /// Compares all streams.
    pub fn of(expected: &BTreeMap<Feed, Vec<Expected>>, found: &BTreeMap<Feed, Found>) -> Self {
        let mut account = Self::default();
        let nothing = Found::default();
        for (&feed, expected) in expected {
            account.add(feed, expected, found.get(&feed).unwrap_or(&nothing));
        }
        account
    }

    /// Returns whether every message is accounted for.
    pub fn is_even(&self) -> bool {
        let differences = [
            &self.lost,
            &self.duplicated,
            &self.unrecorded,
            &self.misplaced,
            &self.wrong,
        ];
        let even = differences.iter().all(|messages| messages.is_empty());
        even && self.unexplained == 0 && self.too_wide == 0
    }

    fn add(&mut self, feed: Feed, expected: &[Expected], found: &Found) {
        let mut letters: HashMap<u64, Vec<i64>> = HashMap::new();
        for (letter, content) in &found.letters {
            match letter {
                Some(number) => letters.entry(*number).or_default().push(*content),
                None => self.unexplained += 1,
            }
        }
        self.published += expected.len() as u64;
        self.rows += found.rows.values().flatten().count() as u64;
        self.letters += found.letters.len() as u64;
        self.too_wide += found.sequences_in_gaps_but_for(expected);
        let unknown = |number: &&u64| **number >= expected.len() as u64;
        let strangers = found.rows.keys().chain(letters.keys()).filter(unknown);
        self.unexplained += strangers.count() as u64;
        for (number, expected) in (0..).zip(expected) {
            let of = |all: &HashMap<u64, Vec<i64>>| all.get(&number).cloned().unwrap_or_default();
            let (rows, letters) = (of(&found.rows), of(&letters));
            let message = (feed, number);
            let right_place = match expected.fate {
                Fate::Row => &rows,
                Fate::Undecodable | Fate::Unreadable | Fate::Refused | Fate::Crashing => &letters,
            };
            match (rows.len() + letters.len(), expected.removed) {
                (0, Some(removed)) if found.has_gap(&removed) => self.in_gaps += 1,
                (0, Some(_)) => self.unrecorded.push(message),
                (0, None) => self.lost.push(message),
                (2.., _) => self.duplicated.push(message),
                (1, _) if right_place.is_empty() => self.misplaced.push(message),
                (1, _) => match expected.content {
                    Some(content) if right_place[0] != content => self.wrong.push(message),
                    _ => {}
                },
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

    fn sequences_in_gaps_but_for(&self, expected: &[Expected]) -> u64 {
        let removed = expected.iter().filter_map(|expected| expected.removed);
        let removed: BTreeSet<_> = removed.map(|at| (at.created, at.sequence)).collect();
        let excess = self.gaps.iter().map(|&(created, first, last)| {
            let excused = removed.range((created, first)..=(created, last)).count() as u64;
            last - first + 1 - excused
        });
        excess.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: Feed = Feed::Logs;
    /// The expected content of each message.
    const RIGHT: i64 = 7;

    fn expected(fate: Fate) -> Expected {
        Expected {
            fate,
            removed: None,
            content: Some(RIGHT),
        }
    }

    fn removed(created: i64, sequence: u64) -> Expected {
        Expected {
            removed: Some(Removed { created, sequence }),
            ..expected(Fate::Row)
        }
    }

    fn account(expected: &[Expected], rows: &[u64], letters: &[Option<u64>]) -> Account {
        let mut found = Found {
            letters: letters.iter().map(|&letter| (letter, RIGHT)).collect(),
            ..Found::default()
        };
        for &row in rows {
            found.rows.entry(row).or_default().push(RIGHT);
        }
        account_of(expected, found)
    }

    fn account_of(expected: &[Expected], found: Found) -> Account {
        Account::of(&[(FEED, expected.to_vec())].into(), &[(FEED, found)].into())
    }

    fn gaps(gaps: &[(i64, u64, u64)]) -> Found {
        Found {
            gaps: gaps.to_vec(),
            ..Found::default()
        }
    }

    #[test]
    fn what_is_right_is_even() {
        let expected = [
            expected(Fate::Row),
            expected(Fate::Refused),
            removed(5, 11),
            removed(5, 12),
            removed(5, 99),
        ];
        let found = Found {
            rows: [(0, vec![RIGHT]), (4, vec![RIGHT])].into(),
            letters: vec![(Some(1), RIGHT)],
            gaps: vec![(5, 11, 12)],
        };
        let account = account_of(&expected, found);
        assert!(account.is_even(), "{account:?}");
        assert_eq!((account.rows, account.letters, account.in_gaps), (2, 1, 2));
    }

    #[test]
    fn a_message_that_nobody_removed_is_lost_whatever_the_gaps_say() {
        let expected = [expected(Fate::Row), expected(Fate::Undecodable)];
        let account = account_of(&expected, gaps(&[(5, 1, 2)]));
        assert_eq!(account.lost, [(FEED, 0), (FEED, 1)]);
        assert!(!account.is_even());
    }

    #[test]
    fn a_removed_message_without_its_gap_is_told() {
        let found = gaps(&[(5, 10, 12)]);
        let account = account_of(&[removed(5, 9), removed(6, 11)], found);
        assert_eq!(account.unrecorded, [(FEED, 0), (FEED, 1)]);
        assert!(!account.is_even());
    }

    #[test]
    fn a_gap_that_is_wider_than_what_was_removed_is_told() {
        let found = gaps(&[(5, 10, 12), (4, 11, 11)]);
        let account = account_of(&[removed(5, 11)], found);
        assert_eq!((account.in_gaps, account.too_wide), (1, 3));
        assert!(!account.is_even());
    }

    #[test]
    fn two_of_anything_are_a_duplicate() {
        let expected = [
            expected(Fate::Row),
            expected(Fate::Crashing),
            expected(Fate::Row),
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
        let expected = [expected(Fate::Row), expected(Fate::Undecodable)];
        let account = account(&expected, &[1], &[Some(0)]);
        assert_eq!(account.misplaced, [(FEED, 0), (FEED, 1)]);
        assert!(!account.is_even());
    }

    #[test]
    fn rows_and_dead_letters_that_say_something_else_are_told() {
        let expected = [expected(Fate::Row), expected(Fate::Refused)];
        let found = Found {
            rows: [(0, vec![8])].into(),
            letters: vec![(Some(1), 8)],
            ..Found::default()
        };
        let account = account_of(&expected, found);
        assert_eq!(account.wrong, [(FEED, 0), (FEED, 1)]);
        assert!(!account.is_even());
    }

    #[test]
    fn what_was_never_published_is_told() {
        let account = account(&[expected(Fate::Row)], &[0, 7], &[None, Some(8)]);
        assert_eq!(account.unexplained, 3);
        assert!(!account.is_even());
    }
}
