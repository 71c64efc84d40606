//! Seven publishers, and what they have published: which message is to become what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex as Turnstile, MutexGuard as Hold};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::account::{Expected, Removed};
use crate::feed::Feed;
use crate::messages::{Defect, Generator, Message};
use crate::nats::Access;

/// Messages of one stream at a time, and how often.
const BURST: u64 = 25;
const EVERY: Duration = Duration::from_millis(250);
/// One of so many messages cannot be decoded.
const BROKEN: u64 = 97;

/// What one publisher does.
#[derive(Debug, Default)]
struct Lane {
    /// All messages below this number are in the stream.
    published: AtomicU64,
    /// Held while a burst is under way.
    turnstile: Turnstile<()>,
    removed: Mutex<BTreeMap<u64, Removed>>,
    crashing: Mutex<BTreeSet<u64>>,
}

#[derive(Debug)]
struct Shared {
    access: Access,
    generator: Generator,
    lanes: [Lane; Feed::ALL.len()],
    stopped: AtomicBool,
}

/// The publishers.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts them.
    pub fn start(access: &Access, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            access: access.clone(),
            generator: Generator::new(seed),
            lanes: Default::default(),
            stopped: AtomicBool::new(false),
        });
        let tasks = Feed::ALL.map(|feed| {
            let (shared, runtime) = (shared.clone(), Handle::current());
            spawn_blocking(move || runtime.block_on(publish(&shared, feed)))
        });
        Self {
            shared,
            tasks: tasks.into(),
        }
    }

    /// Number of the next message of a stream, or of one that is on its way.
    pub fn next_number(&self, feed: Feed) -> u64 {
        self.shared.lane(feed).published.load(Ordering::Acquire)
    }

    /// Lets nothing be published to a stream as long as the hold is kept; nothing is on its way.
    pub async fn hold(&self, feed: Feed) -> Hold<'_, ()> {
        self.shared.lane(feed).turnstile.lock().await
    }

    /// A message was removed from its stream on purpose.
    pub fn was_removed(&self, feed: Feed, number: u64, removed: Removed) {
        lock(&self.shared.lane(feed).removed).insert(number, removed);
    }

    /// Whoever writes this message crashes.
    pub fn will_crash(&self, feed: Feed, number: u64) {
        lock(&self.shared.lane(feed).crashing).insert(number);
    }

    /// Ends them. For each stream, what is to have become of each message, from number 0 on.
    pub async fn stop(self) -> BTreeMap<Feed, Vec<Expected>> {
        self.shared.stopped.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.expect("a publisher ends");
        }
        Feed::ALL
            .map(|feed| (feed, self.shared.expected(feed)))
            .into()
    }
}

impl Shared {
    fn lane(&self, feed: Feed) -> &Lane {
        &self.lanes[feed as usize]
    }

    fn message(&self, feed: Feed, number: u64) -> Message {
        match number % BROKEN {
            0 => {
                let defect = Defect::ALL[(number / BROKEN) as usize % Defect::ALL.len()];
                self.generator.broken(feed, number, defect)
            }
            _ => self.generator.good(feed, number),
        }
    }

    fn expected(&self, feed: Feed) -> Vec<Expected> {
        let lane = self.lane(feed);
        let (removed, crashing) = (lock(&lane.removed), lock(&lane.crashing));
        (0..lane.published.load(Ordering::Acquire))
            .map(|number| match removed.get(&number) {
                Some(removed) => Expected::Removed(*removed),
                None if number % BROKEN == 0 => Expected::Letter,
                None if is_refused(feed, number) => Expected::Letter,
                None if crashing.contains(&number) => Expected::Letter,
                None => Expected::Row,
            })
            .collect()
    }
}

/// A constraint that refuses some rows of two of the tables, and whether it refuses this one.
pub const REFUSING: [(Feed, &str); 2] = [
    (Feed::Telemetry, "CHECK (value::bigint % 89 <> 5)"),
    (Feed::Netflow, "CHECK (octets % 89 <> 5)"),
];

/// Whether the table refuses the row of this message.
pub fn is_refused(feed: Feed, number: u64) -> bool {
    REFUSING.iter().any(|(refusing, _)| *refusing == feed) && number % 89 == 5
}

async fn publish(shared: &Shared, feed: Feed) {
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lane = shared.lane(feed);
    while !shared.stopped.load(Ordering::Acquire) {
        pace.tick().await;
        let _burst = lane.turnstile.lock().await;
        let next = lane.published.load(Ordering::Acquire);
        let messages = (next..next + BURST).map(|number| shared.message(feed, number));
        shared.access.publish_surely(messages).await;
        lane.published.store(next + BURST, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
