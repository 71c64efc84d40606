//! Durations of batches, counted in buckets, so that a mean and a percentile need only a few bytes.

use std::time::Duration;

/// The number of buckets: four for each doubling, from 0.1 ms to about two hours.
const BUCKETS: usize = 104;
/// Buckets for each doubling of the duration.
const PER_DOUBLING: f64 = 4.0;
/// Milliseconds, the lower bound of the first bucket.
const FIRST_MS: f64 = 0.1;

/// Counts of durations. Old ones lose weight: when the counts get large, all are halved.
#[derive(Clone, Copy)]
pub struct Latency {
    /// The count of each bucket.
    buckets: [u32; BUCKETS],
    /// The sum of all buckets.
    count: u32,
    /// The sum of all durations, in milliseconds.
    sum_ms: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            count: 0,
            sum_ms: 0.0,
        }
    }
}

impl Latency {
    /// The number of durations at which all counts are halved.
    const WINDOW: u32 = 2_000;

    /// Records one duration.
    pub fn add(&mut self, duration: Duration) {
        if self.count >= Self::WINDOW {
            self.fade();
        }
        let ms = duration.as_secs_f64() * 1_000.0;
        let octaves = (ms / FIRST_MS).max(1.0).log2() * PER_DOUBLING;
        // A float cast saturates, so every duration has a bucket.
        let bucket = (octaves as usize).min(BUCKETS - 1);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum_ms += ms;
    }

    /// Halves all counts, and the sum accordingly.
    fn fade(&mut self) {
        let before = self.count;
        for count in &mut self.buckets {
            *count /= 2;
        }
        self.count = self.buckets.iter().sum();
        self.sum_ms *= f64::from(self.count) / f64::from(before.max(1));
    }

    /// Returns the mean in milliseconds; `None` without a batch.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ms / f64::from(self.count))
    }

    /// Returns the 99th percentile in milliseconds, accurate to the width of a bucket (19 %);
    /// `None` without a batch.
    pub fn p99_ms(&self) -> Option<f64> {
        let wanted = f64::from(self.count) * 0.99;
        let mut seen = 0.0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += f64::from(count);
            if count > 0 && seen >= wanted {
                return Some(FIRST_MS * 2f64.powf((bucket as f64 + 1.0) / PER_DOUBLING));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_p99_are_near_the_truth() {
        let mut latency = Latency::default();
        assert_eq!((latency.mean_ms(), latency.p99_ms()), (None, None));
        (0..990).for_each(|_| latency.add(Duration::from_millis(10)));
        (0..10).for_each(|_| latency.add(Duration::from_millis(1_000)));
        let (mean, p99) = (latency.mean_ms().unwrap(), latency.p99_ms().unwrap());
        assert!((mean - 19.9).abs() < 0.1, "{mean}");
        assert!((10.0..=12.0).contains(&p99), "{p99}");
    }

    #[test]
    fn old_batches_fade() {
        let mut latency = Latency::default();
        (0..2_000).for_each(|_| latency.add(Duration::from_secs(9)));
        (0..40_000).for_each(|_| latency.add(Duration::from_millis(1)));
        assert!(latency.p99_ms().unwrap() < 2.0 && latency.mean_ms().unwrap() < 2.0);
    }

    #[test]
    fn any_duration_finds_a_bucket() {
        let mut latency = Latency::default();
        latency.add(Duration::ZERO);
        latency.add(Duration::MAX);
        assert!(latency.p99_ms().is_some());
    }
}
