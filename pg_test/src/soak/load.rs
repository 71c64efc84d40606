//! Seven publishers, and a record of each message with its expected result.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as Turnstile, MutexGuard as Hold};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::account::{Expected, Fate, Removed};
use crate::feed::Feed;
use crate::messages::{Defect, Generator, Message};
use crate::nats::Access;

/// Messages that a publisher sends at a time.
pub(super) const BURST: u64 = 25;
/// Interval between two bursts.
const EVERY: Duration = Duration::from_millis(250);
/// One message in this many cannot be decoded.
const BROKEN: u64 = 97;
/// End of a subject that the client cannot parse: it contains white space to the client, but not to
/// the server.
const UNREADABLE: &str = ".a\u{a0}b";
/// Header lines that the client cannot parse.
const ODD_HEADERS: [&[u8]; 3] = [b"A B: c\r\n", b"X: \xff\r\n", b"abc\r\n"];
/// Headers of one message of a flood.
const HEADERS: usize = 1_500;

/// State of one publisher.
#[derive(Debug, Default)]
struct Lane {
    /// Number of messages in the stream, which are all those with lower numbers.
    published: AtomicU64,
    /// Sequence in the stream of each of these messages.
    sequences: Mutex<Vec<u64>>,
    /// Locked while a burst is in progress.
    turnstile: Turnstile<()>,
    removed: Mutex<BTreeMap<u64, Removed>>,
    crashing: Mutex<BTreeSet<u64>>,
    unreadable: Mutex<BTreeSet<u64>>,
    /// Number of further bursts with very many headers.
    floods: AtomicU64,
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
    /// Starts the publishers.
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

    /// Returns the number of the next message of a stream, which may be in flight already.
    pub fn next_number(&self, feed: Feed) -> u64 {
        self.shared.lane(feed).published.load(Ordering::Acquire)
    }

    /// Stops publishing to a stream while the hold is kept. No message is in flight then.
    pub async fn hold(&self, feed: Feed) -> Hold<'_, ()> {
        self.shared.lane(feed).turnstile.lock().await
    }

    /// Notes that a message was removed from its stream on purpose.
    pub fn was_removed(&self, feed: Feed, number: u64, removed: Removed) {
        lock(&self.shared.lane(feed).removed).insert(number, removed);
    }

    /// Notes that this message will crash the process that writes it.
    pub fn will_crash(&self, feed: Feed, number: u64) {
        lock(&self.shared.lane(feed).crashing).insert(number);
    }

    /// Makes the publisher send this message so that the client library cannot parse it.
    pub fn will_be_unreadable(&self, feed: Feed, number: u64) {
        lock(&self.shared.lane(feed).unreadable).insert(number);
    }

    /// Gives the next bursts very many headers.
    pub fn flood(&self, feed: Feed, bursts: u64) {
        let lane = self.shared.lane(feed);
        lane.floods.store(bursts, Ordering::Release);
    }

    /// Returns the number of bursts of a flood that are still to come.
    pub fn floods_left(&self, feed: Feed) -> u64 {
        self.shared.lane(feed).floods.load(Ordering::Acquire)
    }

    /// Returns the messages behind a sequence of the current stream, without the removed ones:
    /// their sequences and numbers. No message may be in flight.
    pub fn behind(&self, feed: Feed, sequence: u64) -> Vec<(u64, u64)> {
        let lane = self.shared.lane(feed);
        let (sequences, removed) = (lock(&lane.sequences), lock(&lane.removed));
        let mut earlier = u64::MAX;
        // Backwards, sequences fall. Where they rise, an earlier incarnation of the stream begins,
        // or the state before it was set back.
        let newest_first = sequences.iter().copied().enumerate().rev();
        let mut behind: Vec<_> = newest_first
            .map(|(number, at)| (at, number as u64))
            .take_while(|&(at, _)| at > sequence && std::mem::replace(&mut earlier, at) > at)
            .filter(|(_, number)| !removed.contains_key(number))
            .collect();
        behind.reverse();
        behind
    }

    /// Stops the publishers.
    pub async fn stop(self) -> Published {
        self.shared.stopped.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.expect("a publisher ends");
        }
        Published(self.shared)
    }
}

/// All published messages.
#[derive(Debug)]
pub struct Published(Arc<Shared>);

/// One message and its expected result.
#[derive(Debug)]
pub struct Sent {
    /// The published message.
    pub message: Message,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Its expected result.
    pub expected: Expected,
}

impl Published {
    /// Publishes one more burst. Returns the number of its messages, and how many of them have no
    /// row.
    pub async fn burst(&self, feed: Feed) -> (u64, u64) {
        let next = self.len(feed);
        self.0.burst(feed).await;
        let expected = (next..next + BURST).map(|number| self.0.expected(feed, number));
        let letters = expected.filter(|expected| expected.fate != Fate::Row);
        (BURST, letters.count() as u64)
    }

    /// Returns the number of messages, which are numbered from 0.
    pub fn len(&self, feed: Feed) -> u64 {
        self.0.lane(feed).published.load(Ordering::Acquire)
    }

    /// Returns the message with this number.
    pub fn sent(&self, feed: Feed, number: u64) -> Sent {
        Sent {
            message: self.0.message(feed, number),
            sequence: lock(&self.0.lane(feed).sequences)[number as usize],
            expected: self.0.expected(feed, number),
        }
    }
}

impl Shared {
    fn lane(&self, feed: Feed) -> &Lane {
        &self.lanes[feed as usize]
    }

    fn message(&self, feed: Feed, number: u64) -> Message {
        let mut message = match number % BROKEN {
            0 => {
                let defect = Defect::ALL[(number / BROKEN) as usize % Defect::ALL.len()];
                self.generator.broken(feed, number, defect)
            }
            _ => self.generator.good(feed, number),
        };
        if lock(&self.lane(feed).unreadable).contains(&number) && !has_odd_header(&number) {
            message.subject += UNREADABLE;
        }
        message
    }

    fn expected(&self, feed: Feed, number: u64) -> Expected {
        let lane = self.lane(feed);
        let fate = match number % BROKEN {
            0 => Fate::Undecodable,
            _ if lock(&lane.unreadable).contains(&number) => Fate::Unreadable,
            _ if is_refused(feed, number) => Fate::Refused,
            _ if lock(&lane.crashing).contains(&number) => Fate::Crashing,
            _ => Fate::Row,
        };
        Expected {
            fate,
            removed: lock(&lane.removed).get(&number).copied(),
            content: None,
        }
    }

    async fn burst(&self, feed: Feed) {
        let lane = self.lane(feed);
        let _burst = lane.turnstile.lock().await;
        let next = lane.published.load(Ordering::Acquire);
        let flood = lane.floods.load(Ordering::Acquire) > 0;
        let headers = if flood {
            flood_of_headers()
        } else {
            HeaderMap::new()
        };
        let end = next + BURST;
        let odd: Vec<u64> = lock(&lane.unreadable).range(next..end).copied().collect();
        let (mut sequences, mut first) = (Vec::new(), next);
        for number in odd.into_iter().filter(has_odd_header).chain([end]) {
            let good = (first..number).map(|number| self.message(feed, number));
            sequences.extend(self.access.publish_until_stored_with(good, &headers).await);
            if number < end {
                let (message, lines) = (self.message(feed, number), odd_header(number));
                let sequence = self
                    .access
                    .publish_unreadable_until_stored(&message, lines)
                    .await;
                sequences.push(sequence);
            }
            first = number + 1;
        }
        if flood {
            lane.floods.fetch_sub(1, Ordering::AcqRel);
        }
        lock(&lane.sequences).extend(sequences);
        lane.published.store(end, Ordering::Release);
    }
}

/// Returns which part of an unreadable message cannot be parsed: true for a header (every second
/// message), false for the subject.
fn has_odd_header(number: &u64) -> bool {
    number % 2 == 1
}

fn odd_header(number: u64) -> &'static [u8] {
    ODD_HEADERS[number as usize / 2 % ODD_HEADERS.len()]
}

/// Returns many short headers, which take many times as much memory once they are parsed.
fn flood_of_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    (0..HEADERS).for_each(|_| headers.append("abc", ""));
    headers
}

/// Conditions of constraints that refuse some rows, for two of the tables.
pub const REFUSING: [(Feed, &str); 2] = [
    (Feed::Telemetry, "CHECK (value::bigint % 89 <> 5)"),
    (Feed::Netflow, "CHECK (octets % 89 <> 5)"),
];

/// Returns whether the table refuses the row of this message.
pub fn is_refused(feed: Feed, number: u64) -> bool {
    REFUSING.iter().any(|(refusing, _)| *refusing == feed) && number % 89 == 5
}

async fn publish(shared: &Shared, feed: Feed) {
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stopped.load(Ordering::Acquire) {
        pace.tick().await;
        shared.burst(feed).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
