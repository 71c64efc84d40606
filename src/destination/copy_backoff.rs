//! The backoff of COPY. COPY is optimistic where the table has a unique key: the first duplicate
//! key fails the whole batch, which is then written twice. So COPY is not tried for some batches
//! afterwards, and for more of them after each further failure. Pure.

use super::WriteMethod;

/// Batches that are inserted after the first duplicate key, before COPY is tried again. Each
/// further duplicate key doubles the number.
const FIRST_BATCHES: u32 = 16;
/// The largest number of batches that are inserted before COPY is tried again.
const MOST_BATCHES: u32 = 4_096;

/// The number of batches that are inserted before COPY is tried again.
#[derive(Debug, Default)]
pub struct CopyBackoff {
    /// Batches still to insert before COPY is tried again.
    left: u32,
    /// Batches that the last backoff began with, halved by each COPY that succeeded since.
    length: u32,
}

impl CopyBackoff {
    /// Returns whether COPY may be tried.
    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Begins a backoff, after a duplicate key.
    pub fn begin(&mut self) {
        self.length = (self.length * 2).clamp(FIRST_BATCHES, MOST_BATCHES);
        self.left = self.length;
    }

    /// Records that a batch was committed.
    pub fn succeeded(&mut self, method: WriteMethod) {
        match method {
            WriteMethod::Copy => self.length /= 2,
            WriteMethod::Insert => self.left = self.left.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_is_put_off_longer_while_keys_are_taken_and_shorter_when_they_are_not() {
        let mut backoff = CopyBackoff::default();
        assert!(backoff.is_over());
        for expected in [16, 32, 64] {
            backoff.begin();
            for _ in 0..expected {
                assert!(!backoff.is_over());
                backoff.succeeded(WriteMethod::Insert);
            }
            assert!(backoff.is_over());
        }
        backoff.succeeded(WriteMethod::Copy);
        backoff.begin();
        assert_eq!(backoff.left, 64);
    }
}
