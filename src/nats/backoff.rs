//! Exponential backoff with jitter, for everything that is retried.

use std::time::Duration;

/// Delays between attempts, doubling from `min` to `max`. Each is a random value in the upper half
/// of its range, so that several waiters do not retry at the same moment.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Creates a backoff whose first delay is about `min`, and whose delays never exceed `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            failures: 0,
        }
    }

    /// Counts one more failure, and returns the delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let delay = Self::delay(self.min, self.max, self.failures);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// Forgets the failures after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the number of failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the delay after a failure that follows `failures` others.
    pub fn delay(min: Duration, max: Duration, failures: u32) -> Duration {
        let full = min.saturating_mul(1u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX));
        full.min(max).mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn delays_double_up_to_the_limit_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(MIN, MAX);
        for failures in 0..40 {
            let full = MIN.saturating_mul(1 << failures.min(20)).min(MAX);
            assert_eq!(backoff.failures(), failures);
            let delay = backoff.next_delay();
            assert!(
                delay >= full / 2 && delay <= full,
                "{failures}: {delay:?} of {full:?}"
            );
        }
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
        assert!(backoff.next_delay() <= MIN);
    }

    #[test]
    fn waiters_do_not_return_at_once() {
        let delays: std::collections::BTreeSet<_> =
            (0..50).map(|_| Backoff::delay(MIN, MAX, 3)).collect();
        assert!(delays.len() > 10);
    }
}
