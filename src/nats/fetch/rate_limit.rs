//! A rate limiter: limits a pipeline to a number of messages per second.

use std::time::Duration;
use tokio::time::Instant;

/// Permits at most `rate` messages a second, with bursts of up to a tenth of a second.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    interval: Duration,
    burst: Duration,
    /// When the time that the messages so far take at this rate is over.
    paid_until: Option<Instant>,
}

impl RateLimiter {
    /// Creates a limiter for `rate` messages per second; `None`, which means no limit, if `rate` is
    /// 0.
    pub(crate) fn new(rate: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(rate)?;
        Some(Self {
            interval,
            burst: interval.max(Duration::from_millis(100)),
            paid_until: None,
        })
    }

    /// Takes one message into account. Returns when it may be kept, if that is after `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Instant> {
        let paid = self.paid_until.map_or(now, |at| at.max(now)) + self.interval;
        self.paid_until = Some(paid);
        paid.checked_sub(self.burst).filter(|&at| at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_rate_nothing_waits() {
        assert!(RateLimiter::new(0).is_none());
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_spread_over_time() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(100).unwrap();
        let passed = (0..100).filter(|_| limiter.take(start).is_none()).count();
        assert_eq!(passed, 10);
        let mut limiter = RateLimiter::new(100).unwrap();
        let mut now = start;
        for _ in 0..300 {
            if let Some(at) = limiter.take(now) {
                now = at;
            }
        }
        let seconds = (now - start).as_secs_f64();
        assert!(
            (2.8..=3.0).contains(&seconds),
            "300 messages at 100/s took {seconds} s"
        );
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(100).unwrap();
        limiter.take(start);
        let later = start + Duration::from_secs(60);
        let passed = (0..100).filter(|_| limiter.take(later).is_none()).count();
        assert_eq!(passed, 10);
    }
}
