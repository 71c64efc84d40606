//! The order of the faults. Every kind occurs once before any occurs again, and two of three occur
//! together with another one.

use super::Fault;
use crate::random::Random;

/// Attempts of a fault that missed, before a new round begins.
const TRIES: usize = 3;

/// The order of the faults, decided by a seed.
#[derive(Debug)]
pub struct Schedule {
    kinds: Vec<Fault>,
    /// Remaining faults of this round; the last one is next.
    deck: Vec<Fault>,
    missed: Vec<Fault>,
    random: Random,
}

impl Schedule {
    /// Creates a schedule of these kinds.
    pub fn new(kinds: &[Fault], seed: u64) -> Self {
        Self {
            kinds: kinds.to_vec(),
            deck: Vec::new(),
            missed: Vec::new(),
            random: Random::new(seed),
        }
    }

    /// Returns the next fault, or two that are inflicted at the same time.
    pub fn next(&mut self) -> (Fault, Option<Fault>) {
        if self.deck.is_empty() {
            self.missed.clear();
            self.deck.clone_from(&self.kinds);
            self.random.shuffle(&mut self.deck);
        }
        let first = self.deck.pop().expect("a plan has kinds of faults");
        let partner = match self.random.below(3) {
            0 => None,
            _ => self.deck.iter().rposition(|&other| first.goes_with(other)),
        };
        (first, partner.map(|at| self.deck.remove(at)))
    }

    /// Notes that this fault found nothing to act on.
    pub fn missed(&mut self, fault: Fault) {
        let tries = self.missed.iter().filter(|&&other| other == fault);
        if tries.count() < TRIES {
            self.missed.push(fault);
            self.deck.insert(0, fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_comes_once_a_round_alone_or_with_one_that_it_goes_with() {
        for seed in 0..50 {
            let mut schedule = Schedule::new(&Fault::ALL, seed);
            let (mut seen, mut pairs) = (BTreeSet::new(), 0);
            while seen.len() < Fault::ALL.len() {
                let (first, second) = schedule.next();
                assert!(seen.insert(first));
                if let Some(second) = second {
                    assert!(first.goes_with(second) && second.goes_with(first));
                    assert!(seen.insert(second));
                    pairs += 1;
                }
            }
            assert!(pairs > 8, "{pairs}");
        }
    }

    #[test]
    fn one_that_missed_comes_again_in_the_same_round() {
        let mut schedule = Schedule::new(&[Fault::KillWorker], 1);
        for _ in 0..=TRIES {
            assert_eq!(schedule.next(), (Fault::KillWorker, None));
            schedule.missed(Fault::KillWorker);
        }
        assert!(schedule.deck.is_empty());
    }
}
