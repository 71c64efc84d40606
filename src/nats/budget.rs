//! The byte budget for all messages in memory. Half of it is common; the other half is divided, so
//! that each pipeline has a part of its own, even if others hold messages that they cannot write.
//! Fetch reserves bytes before it keeps a message, and dropping a batch releases them. When nothing
//! is left, fetching stops, and the server keeps the messages.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of the budget that are reserved; dropping it releases them.
#[derive(Debug)]
pub struct Reservation {
    own: Option<OwnedSemaphorePermit>,
    common: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Merges another reservation of the same pipeline into this one.
    pub fn merge(&mut self, other: Reservation) {
        join(&mut self.own, other.own);
        join(&mut self.common, other.common);
    }
}

fn join(mine: &mut Option<OwnedSemaphorePermit>, other: Option<OwnedSemaphorePermit>) {
    match (mine, other) {
        (Some(mine), Some(other)) => mine.merge(other),
        (mine, other) => *mine = mine.take().or(other),
    }
}

/// The whole budget of a worker.
#[derive(Debug)]
pub struct Budget {
    common: Part,
    /// Bytes of each pipeline's own part.
    own_bytes: usize,
    /// Number of pipelines that the budget is divided among.
    pipelines: usize,
    /// The own parts that were given out so far.
    own: Vec<Part>,
}

impl Budget {
    /// Creates a budget of `total` bytes for this number of pipelines.
    pub fn new(total: usize, pipelines: usize) -> Self {
        let own_bytes = total / (2 * pipelines.max(1));
        Self {
            common: Part::new(total - own_bytes * pipelines),
            own_bytes,
            pipelines,
            own: Vec::new(),
        }
    }

    /// Returns the budget of the next pipeline. More pipelines than the budget is divided among get
    /// only the common part.
    pub fn of_next_pipeline(&mut self) -> PipelineBudget {
        let own = match self.own.len() < self.pipelines {
            true => {
                let own = Part::new(self.own_bytes);
                self.own.push(own.clone());
                own
            }
            false => self.common.clone(),
        };
        PipelineBudget {
            own,
            common: self.common.clone(),
        }
    }

    /// Returns the bytes that are reserved.
    pub fn used(&self) -> usize {
        self.own.iter().map(Part::used).sum::<usize>() + self.common.used()
    }
}

/// The budget as one pipeline may use it: its own part, and the common part as far as it is free.
///
/// A message is charged to one of the two. If it is larger than the own part it may take all of
/// that, so each pipeline can fetch at least one message at a time, whatever the others hold.
#[derive(Clone, Debug)]
pub struct PipelineBudget {
    own: Part,
    common: Part,
}

impl PipelineBudget {
    /// Returns the bytes of the pipeline's own part.
    pub fn own_bytes(&self) -> usize {
        self.own.size
    }

    /// Reserves `bytes`, if they are free now.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let whole = |part: &Part| {
            (bytes <= part.size)
                .then(|| part.try_reserve(bytes))
                .flatten()
        };
        if let Some(own) = whole(&self.own) {
            return Some(Reservation::of_own(own));
        }
        if let Some(common) = whole(&self.common) {
            return Some(Reservation::of_common(common));
        }
        self.own.try_reserve(bytes).map(Reservation::of_own)
    }

    /// Waits until `bytes` are free, and reserves them.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        tokio::select! {
            biased;
            own = self.own.reserve(bytes) => Reservation::of_own(own),
            common = self.common.reserve(bytes), if bytes <= self.common.size => {
                Reservation::of_common(common)
            }
        }
    }
}

/// A number of bytes that can be reserved and released.
#[derive(Clone, Debug)]
pub struct Part {
    free: Arc<Semaphore>,
    size: usize,
}

impl Part {
    /// Creates a part of `size` bytes, all of them free.
    pub fn new(size: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(size)),
            size,
        }
    }

    /// Reserves `bytes`, if they are free now. A message that is larger than the part takes all of
    /// it.
    pub fn try_reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let free = self.free.clone();
        free.try_acquire_many_owned(self.permits(bytes)).ok()
    }

    async fn reserve(&self, bytes: usize) -> OwnedSemaphorePermit {
        let free = self.free.clone();
        match free.acquire_many_owned(self.permits(bytes)).await {
            Ok(permit) => permit,
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    fn used(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }

    /// Returns the number of permits to acquire. A message may never ask for more than there are,
    /// or it would wait for ever.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.size)).unwrap_or(u32::MAX)
    }
}

impl Reservation {
    fn of_own(permit: OwnedSemaphorePermit) -> Self {
        Self {
            own: Some(permit),
            common: None,
        }
    }

    fn of_common(permit: OwnedSemaphorePermit) -> Self {
        Self {
            own: None,
            common: Some(permit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    /// Reserves five bytes as often as possible, but not for ever if reservations take nothing.
    fn fives(budget: &PipelineBudget) -> Vec<Reservation> {
        let fives = std::iter::from_fn(|| budget.try_reserve(5));
        fives.take(100).collect()
    }

    /// Creates a budget of 100 bytes for two pipelines: 25 for each, and 50 for both.
    fn two() -> (Budget, PipelineBudget, PipelineBudget) {
        let mut budget = Budget::new(100, 2);
        let (first, second) = (budget.of_next_pipeline(), budget.of_next_pipeline());
        (budget, first, second)
    }

    #[test]
    fn reservations_are_released_when_dropped() {
        let (budget, mine, _) = two();
        let mut reservation = mine.try_reserve(20).unwrap();
        reservation.merge(mine.try_reserve(5).unwrap());
        reservation.merge(mine.try_reserve(30).unwrap());
        reservation.merge(mine.try_reserve(20).unwrap());
        assert_eq!(budget.used(), 75);
        assert!(mine.try_reserve(1).is_none(), "the rest is the other's");
        drop(reservation);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_one_pipeline_holds_leaves_another_its_own_part() {
        let (budget, greedy, other) = two();
        assert_eq!(other.own_bytes(), 25);
        let held = fives(&greedy);
        assert_eq!((held.len(), budget.used()), (15, 75));
        let reservation = other.try_reserve(25).unwrap();
        assert!(other.try_reserve(1).is_none());
        drop(reservation);
        assert!(other.reserve(25).now_or_never().is_some());
    }

    #[test]
    fn a_message_of_any_size_gets_through_and_only_one_of_each_pipeline() {
        let (budget, first, second) = two();
        let large = first.try_reserve(1_000_000).unwrap();
        assert_eq!(budget.used(), 25, "what the first has for itself");
        assert!(first.try_reserve(1_000_000).is_none());
        assert!(first.reserve(1_000_000).now_or_never().is_none());
        assert!(second.try_reserve(1_000_000).is_some());
        drop(large);
        assert!(first.reserve(1_000_000).now_or_never().is_some());
    }

    #[test]
    fn a_pipeline_that_the_budget_is_not_divided_for_takes_nothing_from_the_others() {
        let (mut budget, first, second) = two();
        let third = budget.of_next_pipeline();
        let held = fives(&third);
        assert_eq!((held.len(), budget.used()), (10, 50));
        assert!(first.try_reserve(25).is_some() && second.try_reserve(25).is_some());
    }

    #[test]
    fn what_is_waited_for_may_come_from_either_part() {
        let (_, first, second) = two();
        let mut own = first.try_reserve(25);
        let mut common = second.try_reserve(40);
        for held in [&mut own, &mut common] {
            assert!(first.reserve(20).now_or_never().is_none());
            *held = None;
            let reservation = first.reserve(20).now_or_never();
            assert!(reservation.is_some());
            *held = reservation;
        }
    }
}
