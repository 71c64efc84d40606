//! Circuit breaker: after several database failures in a row nothing is tried for a while, then one
//! small batch, and only its success opens the way again. Pure: time comes from outside.

use crate::pg::failure::{Class, Failure};
use crate::status::BreakerState;
use std::time::{Duration, Instant};

/// What may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Anything.
    Any,
    /// One small batch.
    Probe,
    /// Nothing before this instant.
    Wait(Instant),
}

/// The breaker of one worker.
#[derive(Debug)]
pub struct Breaker {
    max_failures: u32,
    reset: Duration,
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Opens after `max_failures` failures in a row, for `reset`.
    pub fn new(max_failures: u32, reset: Duration) -> Self {
        Self {
            max_failures,
            reset,
            failures: 0,
            open_until: None,
        }
    }

    /// What may be tried now.
    pub fn permission(&self, now: Instant) -> Permission {
        match self.open_until {
            None => Permission::Any,
            Some(until) if now < until => Permission::Wait(until),
            Some(_) => Permission::Probe,
        }
    }

    /// Counts what became of a transaction. Only what the server is at fault for opens the breaker.
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

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the state, as the status functions show it.
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
    fn a_success_in_between_starts_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::new(2, Duration::from_secs(1));
        breaker.failed(now);
        breaker.succeeded();
        breaker.failed(now);
        assert_eq!(breaker.permission(now), Permission::Any);
    }
}
