//! One byte budget for every message in memory, all pipelines together. A fetch takes its share
//! before it keeps a message; dropping a batch gives the share back. When nothing is left, fetching
//! stops and the server keeps the messages.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub struct Share(OwnedSemaphorePermit);

impl Share {
    /// Joins another share into this one.
    pub fn absorb(&mut self, other: Share) {
        self.0.merge(other.0);
    }
}

/// The budget itself.
#[derive(Debug)]
pub struct Budget {
    free: Arc<Semaphore>,
    total: usize,
}

impl Budget {
    /// A budget of `total` bytes.
    pub fn new(total: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// Takes `bytes` if they are free now.
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        self.free
            .clone()
            .try_acquire_many_owned(self.permits(bytes))
            .ok()
            .map(Share)
    }

    /// Waits until `bytes` are free and takes them. `None` only when the budget is closed.
    pub async fn take(&self, bytes: usize) -> Option<Share> {
        self.free
            .clone()
            .acquire_many_owned(self.permits(bytes))
            .await
            .ok()
            .map(Share)
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.total.saturating_sub(self.free.available_permits())
    }

    /// One message may never ask for more than there is, or it would wait for ever.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_back_when_dropped() {
        let budget = Budget::new(100);
        let mut share = budget.try_take(60).unwrap();
        assert!(budget.try_take(60).is_none());
        share.absorb(budget.try_take(40).unwrap());
        assert_eq!(budget.used(), 100);
        drop(share);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_message_larger_than_the_budget_takes_all_of_it() {
        let budget = Budget::new(100);
        let _all = budget.try_take(1_000_000).unwrap();
        assert_eq!(budget.used(), 100);
        assert!(budget.try_take(1).is_none());
    }
}
