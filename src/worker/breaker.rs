//! Circuit breaker: after several server errors in a row nothing is tried for a while, then a probe
//! of one message, and only its success closes the breaker. Pure: time is a parameter.

use crate::pg::failure::{Class, Failure};
use crate::status::BreakerState;
use std::time::{Duration, Instant};

/// The extent to which pipelines may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Anything.
    Any,
    /// A transaction of one message.
    Probe,
    /// Nothing before this time.
    Wait(Instant),
}

/// The breaker of one worker.
#[derive(Debug)]
pub struct Breaker {
    /// Failures in a row that open it.
    max_failures: u32,
    /// Time that it stays open.
    reset: Duration,
    /// Failures in a row so far.
    failures: u32,
    /// End of the time for which it is open; a success clears it.
    open_until: Option<Instant>,
}

impl Breaker {
    /// Creates a breaker that opens after `max_failures` failures in a row, for the time `reset`.
    pub fn new(max_failures: u32, reset: Duration) -> Self {
        Self {
            max_failures,
            reset,
            failures: 0,
            open_until: None,
        }
    }

    /// Returns what may be tried now.
    pub fn permission(&self, now: Instant) -> Permission {
        match self.open_until {
            None => Permission::Any,
            Some(until) if now < until => Permission::Wait(until),
            Some(_) => Permission::Probe,
        }
    }

    /// Counts the result of a transaction. Only failures that the server has caused open the
    /// breaker.
    pub fn record(&mut self, failure: Option<&Failure>, now: Instant) {
        match failure {
            None => self.succeeded(),
            Some(failure) if failure.is_contention() => {}
            Some(failure) if failure.class() == Class::Environment => self.failed(now),
            Some(_) => {}
        }
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.open_until = None;
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.max_failures {
            self.open_until = Some(now + self.reset);
        }
    }

    /// Returns the number of failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns its state for the status functions.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.permission(now) {
            Permission::Any => BreakerState::Closed,
            Permission::Wait(_) => BreakerState::Open,
            Permission::Probe => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_closes_after_a_probe() {
        let start = Instant::now();
        let reset = Duration::from_secs(30);
        let mut breaker = Breaker::new(3, reset);
        breaker.failed(start);
        breaker.failed(start);
        assert_eq!(breaker.permission(start), Permission::Any);
        breaker.failed(start);
        assert_eq!(breaker.permission(start), Permission::Wait(start + reset));
        assert_eq!(breaker.state(start), BreakerState::Open);
        let later = start + reset;
        assert_eq!(breaker.permission(later), Permission::Probe);
        breaker.failed(later);
        assert_eq!(breaker.permission(later), Permission::Wait(later + reset));
        breaker.succeeded();
        assert_eq!(
            (breaker.permission(later), breaker.failures()),
            (Permission::Any, 0)
        );
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let now = Instant::now();
        let mut breaker = Breaker::new(2, Duration::from_secs(1));
        breaker.failed(now);
        breaker.succeeded();
        breaker.failed(now);
        assert_eq!(breaker.permission(now), Permission::Any);
    }
}
