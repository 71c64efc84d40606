//! The page as figures for people: derived values, and "never" as no value.

use super::page::{self, Page, State, StreamPage, WorkerPage};
use crate::config;
use crate::pg::clock::now;
use crate::pg::server;
use pgrx::prelude::*;
use std::fmt::{self, Display, Formatter};
use std::sync::atomic::Ordering;

const MICROS_PER_SECOND: f64 = 1e6;

/// A worker shows a sign of life once a second; after so many microseconds without one it is
/// unresponsive.
const SILENT_AFTER: i64 = 10_000_000;

/// State of all workers together, and why.
pub struct Overall {
    /// The worst state of any worker.
    pub state: State,
    /// In words.
    pub reason: String,
    /// Since when, as PostgreSQL stores it; 0 when unknown.
    pub since: i64,
}

/// States from best to worst; an operator has to see the worst first.
const ORDER: [State; 9] = [
    State::Running,
    State::Paused,
    State::Disabled,
    State::Standby,
    State::Starting,
    State::Degraded,
    State::Misconfigured,
    State::Unresponsive,
    State::Stopped,
];

/// Sums the workers up.
pub fn overall(page: &Page) -> Overall {
    if server::is_standby() {
        let reason = "this server is a standby; only the primary consumes".to_owned();
        return Overall {
            state: State::Standby,
            reason,
            since: 0,
        };
    }
    let workers = page.workers.iter().take(config::workers()).enumerate();
    let workers = workers.map(|(number, worker)| one(number, worker));
    let rank = |overall: &Overall| ORDER.iter().position(|state| *state == overall.state);
    workers.max_by_key(rank).unwrap_or(Overall {
        state: State::Stopped,
        reason: String::new(),
        since: 0,
    })
}

fn one(number: usize, worker: &WorkerPage) -> Overall {
    if let Some(silence) = Silence::of(number) {
        return Overall {
            state: State::Unresponsive,
            reason: silence.to_string(),
            since: silence.since,
        };
    }
    let alive = page::pid(number).is_some() || worker.state == State::Starting;
    let reason = match alive {
        true => worker.reason.get().to_owned(),
        false => {
            "the background worker is not running; PostgreSQL starts it again by itself".to_owned()
        }
    };
    let state = if alive { worker.state } else { State::Stopped };
    Overall {
        state,
        reason,
        since: worker.since,
    }
}

/// What a worker's process does not show any more: a sign of life.
struct Silence {
    pid: i32,
    /// Its last sign of life, as PostgreSQL stores it.
    since: i64,
    seconds: i64,
}

impl Silence {
    fn of(worker: usize) -> Option<Self> {
        // The process first: it shows itself after its first sign of life.
        let pid = page::pid(worker)?;
        let since = page::heartbeat(worker)?.load(Ordering::Relaxed);
        let age = now().checked_sub(since)?;
        (age > SILENT_AFTER).then_some(Self {
            pid,
            since,
            seconds: age / 1_000_000,
        })
    }
}

impl Display for Silence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} has shown no sign of life for {} s",
            self.pid, self.seconds
        )
    }
}

/// Whether any of the workers shows no sign of life, so that what the page says of it is old.
pub fn any_silent() -> bool {
    (0..config::workers()).any(|worker| Silence::of(worker).is_some())
}

/// One pipeline, and whether its worker still tells about it.
pub struct Stream<'a> {
    /// What the worker told last.
    pub page: &'a StreamPage,
    silence: Option<Silence>,
}

impl Stream<'_> {
    /// What it is doing.
    pub fn state(&self) -> State {
        match self.silence {
            Some(_) => State::Unresponsive,
            None => self.page.state,
        }
    }

    /// That in words.
    pub fn detail(&self) -> Option<String> {
        match &self.silence {
            Some(silence) => Some(silence.to_string()),
            None => self.page.detail.some(),
        }
    }

    /// Messages that are no rows yet, as far as it is known: there may be some now where a silent
    /// worker saw none.
    pub fn pending(&self) -> Option<u64> {
        let known = self.silence.is_none() || self.page.pending > 0;
        known.then_some(self.page.pending)
    }

    /// Age of the oldest message that is no row yet, as far as it is known.
    pub fn lag_seconds(&self) -> Option<f64> {
        let since = match (&self.silence, self.page.pending) {
            (None, 0) => return Some(0.0),
            (Some(silence), 0) => silence.since,
            _ => self.page.last_published,
        };
        let age = now().checked_sub(since)?;
        (since != 0).then_some((age.max(0) as f64) / MICROS_PER_SECOND)
    }
}

/// The active pipelines.
pub fn streams(page: &Page) -> impl Iterator<Item = Stream<'_>> {
    let active = config::pipeline_names().len();
    let streams = page.streams.iter().take(active).enumerate();
    let streams = streams.filter(|(_, page)| !page.name.get().is_empty());
    streams.map(|(number, page)| Stream {
        page,
        silence: Silence::of(number % config::workers()),
    })
}

/// A point in time, or `None` for "never".
pub fn time(at: i64) -> Option<TimestampWithTimeZone> {
    (at != 0)
        .then(|| TimestampWithTimeZone::try_from(at).ok())
        .flatten()
}

/// A count as SQL's bigint.
pub fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
