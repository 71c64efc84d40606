//! A set of stream sequences: everything up to a floor, and ranges above it, so it stays small. The
//! database stores one as the position of a pipeline, and fetch keeps one to identify messages that
//! it has already fetched. It must stay correct for any order of arrival and any repetition.

use std::collections::BTreeMap;

/// A set of sequences: `1..=floor`, and disjoint ranges above the floor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequences {
    floor: u64,
    /// First and last sequence of each range; ranges neither overlap nor touch each other or the
    /// floor.
    above: BTreeMap<u64, u64>,
}

impl Sequences {
    /// Creates the set of all sequences up to `floor`.
    pub fn up_to(floor: u64) -> Self {
        Self {
            floor,
            above: BTreeMap::new(),
        }
    }

    /// Returns the highest sequence up to which none is missing.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Returns the highest sequence in the set; 0 if it is empty.
    pub fn last(&self) -> u64 {
        self.above
            .last_key_value()
            .map_or(self.floor, |(_, &last)| last)
    }

    /// Returns the ranges above the floor, as first and last sequence, ascending.
    pub fn above(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        self.above.iter().map(|(&first, &last)| (first, last))
    }

    /// Returns whether `sequence` is in the set.
    pub fn contains(&self, sequence: u64) -> bool {
        sequence <= self.floor
            || self
                .above
                .range(..=sequence)
                .next_back()
                .is_some_and(|(_, &last)| sequence <= last)
    }

    /// Adds `first..=last`; does nothing if that is empty.
    pub fn insert(&mut self, first: u64, last: u64) {
        let (mut first, mut last) = (first.max(1), last);
        if last < first || last <= self.floor {
            return;
        }
        while let Some((&start, &end)) = self.above.range(..=last.saturating_add(1)).next_back() {
            if end.saturating_add(1) < first {
                break;
            }
            first = first.min(start);
            last = last.max(end);
            self.above.remove(&start);
        }
        if first <= self.floor.saturating_add(1) {
            self.floor = last;
        } else {
            self.above.insert(first, last);
        }
    }

    /// Removes `first..=last`; does nothing if that is empty.
    pub fn remove(&mut self, first: u64, last: u64) {
        let first = first.max(1);
        if last < first {
            return;
        }
        let mut ranges = std::mem::take(&mut self.above);
        if self.floor > 0 {
            ranges.insert(1, self.floor);
        }
        self.floor = 0;
        for (start, end) in ranges {
            // `insert` ignores empty ranges.
            self.insert(start, end.min(first - 1));
            self.insert(start.max(last.saturating_add(1)), end);
        }
    }

    /// Returns the ranges of `first..=last` that are not in the set, ascending.
    pub fn missing(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let mut next = first.max(self.floor.saturating_add(1));
        for (&start, &end) in &self.above {
            if start > last {
                break;
            }
            if start > next {
                missing.push((next, start - 1));
            }
            next = next.max(end.saturating_add(1));
        }
        if next <= last {
            missing.push((next, last));
        }
        missing
    }

    /// Removes everything above `last`.
    pub fn forget_above(&mut self, last: u64) {
        self.floor = self.floor.min(last);
        self.above = self
            .above()
            .filter(|&(first, _)| first <= last)
            .map(|(first, end)| (first, end.min(last)))
            .collect();
    }

    /// Adds everything up to `floor`.
    pub fn raise_floor(&mut self, floor: u64) {
        self.insert(1, floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn in_order_arrival_needs_no_range() {
        let mut set = Sequences::default();
        (1..=1_000).for_each(|n| set.insert(n, n));
        assert_eq!(set, Sequences::up_to(1_000));
    }

    #[test]
    fn a_hole_is_kept_until_it_is_filled() {
        let mut set = Sequences::up_to(4);
        set.insert(6, 9);
        assert!(!set.contains(5) && set.contains(6) && set.contains(9) && !set.contains(10));
        assert_eq!((set.floor(), set.last()), (4, 9));
        set.insert(5, 5);
        assert_eq!(set, Sequences::up_to(9));
    }

    #[test]
    fn the_highest_number_does_not_overflow() {
        let mut set = Sequences::default();
        set.insert(u64::MAX, u64::MAX);
        set.insert(u64::MAX - 1, u64::MAX);
        assert!(set.contains(u64::MAX) && !set.contains(u64::MAX - 2));
    }

    #[test]
    fn taking_out_of_the_middle_leaves_both_ends() {
        let mut set = Sequences::up_to(10);
        set.remove(4, 6);
        assert_eq!((set.floor(), set.last()), (3, 10));
        assert_eq!(set.missing(1, 12), [(4, 6), (11, 12)]);
        set.remove(8, u64::MAX);
        assert_eq!((set.floor(), set.last()), (3, 7));
        set.remove(1, 100);
        assert_eq!(set, Sequences::default());
    }

    proptest! {
        #[test]
        fn taking_out_agrees_with_a_plain_set(
            floor in 0u64..20,
            steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..40),
            (from, to) in (1u64..80, 1u64..80),
        ) {
            let mut set = Sequences::up_to(floor);
            let mut plain: BTreeSet<u64> = (1..=floor).collect();
            for (add, first, length) in steps {
                let range = first.max(1)..=first + length;
                if add {
                    set.insert(first, first + length);
                    plain.extend(range);
                } else {
                    set.remove(first, first + length);
                    plain.retain(|n| !range.contains(n));
                }
            }
            for n in 1..80 {
                prop_assert_eq!(set.contains(n), plain.contains(&n), "sequence {}", n);
            }
            let above: Vec<_> = set.above().collect();
            prop_assert!(above.iter().all(|&(first, _)| first > set.floor() + 1));
            let missing: Vec<u64> = set.missing(from, to).into_iter().flat_map(|(a, b)| a..=b).collect();
            let expected: Vec<u64> = (from..=to).filter(|n| !plain.contains(n)).collect();
            prop_assert_eq!(missing, expected);
        }

        #[test]
        fn agrees_with_a_plain_set(
            floor in 0u64..20,
            ranges in prop::collection::vec((0u64..60, 0u64..8), 0..40),
            cut in 0u64..70,
        ) {
            let mut set = Sequences::up_to(floor);
            let mut plain: BTreeSet<u64> = (1..=floor).collect();
            for (first, length) in ranges {
                set.insert(first, first + length);
                plain.extend(first.max(1)..=first + length);
            }
            for n in 1..80 {
                prop_assert_eq!(set.contains(n), plain.contains(&n), "sequence {}", n);
            }
            let lacking: Vec<u64> = (3..70).filter(|n| !plain.contains(n)).collect();
            let missing = set.missing(3, 69).into_iter().flat_map(|(first, last)| first..=last);
            prop_assert_eq!(missing.collect::<Vec<_>>(), lacking);
            let mut shorter = set.clone();
            shorter.forget_above(cut);
            for n in 1..80 {
                prop_assert_eq!(shorter.contains(n), n <= cut && plain.contains(&n), "{}", n);
            }
            let above: Vec<_> = set.above().collect();
            prop_assert!(above.iter().all(|&(first, _)| first > set.floor() + 1));
            prop_assert!(above.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
