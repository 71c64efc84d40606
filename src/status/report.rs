//! The page as figures for people: derived values, and "never" as no value.

use super::page::{self, Page, State, StreamPage, WorkerPage};
use crate::config;
use pgrx::prelude::*;

const MICROS_PER_SECOND: f64 = 1e6;

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
const ORDER: [State; 8] = [
    State::Running,
    State::Paused,
    State::Disabled,
    State::Standby,
    State::Starting,
    State::Degraded,
    State::Misconfigured,
    State::Stopped,
];

/// Sums the workers up.
pub fn overall(page: &Page) -> Overall {
    // SAFETY: reads shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
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

/// The active pipelines' parts of the page.
pub fn streams(page: &Page) -> impl Iterator<Item = &StreamPage> {
    let active = config::pipeline_names().len();
    page.streams
        .iter()
        .take(active)
        .filter(|stream| !stream.name.get().is_empty())
}

/// Age of the oldest message that is no row yet, as far as it is known.
pub fn lag_seconds(stream: &StreamPage) -> Option<f64> {
    if stream.pending == 0 {
        return Some(0.0);
    }
    // SAFETY: reads the clock.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let age = now.checked_sub(stream.last_published)?;
    (stream.last_published != 0).then_some((age.max(0) as f64) / MICROS_PER_SECOND)
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
