//! Where the table has a unique key COPY is optimistic: the first taken key fails the whole batch,
//! which then costs twice. So COPY is given up for a while, longer each time. Pure.

use super::WriteMethod;

/// Batches that are inserted after a taken key before COPY is tried again; doubles each time …
const FIRST_BATCHES: u32 = 16;
/// … up to this.
const MOST_BATCHES: u32 = 4_096;

/// How many batches are inserted before COPY is tried again.
#[derive(Debug, Default)]
pub struct CopyBackoff {
    left: u32,
    length: u32,
}

impl CopyBackoff {
    /// Returns whether COPY may be tried.
    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Begins after a taken key.
    pub fn begin(&mut self) {
        self.length = (self.length * 2).clamp(FIRST_BATCHES, MOST_BATCHES);
        self.left = self.length;
    }

    /// Counts a batch that was committed.
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
