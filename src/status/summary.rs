//! The state of the writer, which is that of the worker in the worst state, and the detection of
//! silent workers.

use super::processes;
use super::shared_memory::SharedStatus;
use super::state::State;
use super::worker_status::WorkerStatus;
use crate::config;
use crate::pg::clock::now;
use crate::pg::server;
use pgrx::prelude::*;
use std::fmt::{self, Display, Formatter};
use std::sync::atomic::Ordering;

/// Microseconds without a heartbeat after which a worker, which writes one every second, is
/// unresponsive.
const SILENT_AFTER: i64 = 10_000_000;

/// The state of all workers together, and its reason.
pub struct Overall {
    /// The worst state of any worker.
    pub state: State,
    /// The reason for the state and what happens next, as text.
    pub reason: String,
    /// The time when it entered this state, in microseconds since 2000-01-01; 0 when unknown.
    pub since: i64,
}

/// Returns the state of the worker in the worst state.
pub fn overall(status: &SharedStatus) -> Overall {
    if server::is_standby() {
        let reason = "this server is a standby; only the primary consumes".to_owned();
        return Overall {
            state: State::Standby,
            reason,
            since: 0,
        };
    }
    let workers = status.workers.iter().take(config::workers()).enumerate();
    let workers = workers.map(|(number, worker)| one(number, worker));
    workers
        .max_by_key(|overall| overall.state.rank())
        .unwrap_or(Overall {
            state: State::Stopped,
            reason: String::new(),
            since: 0,
        })
}

/// Returns the state of one worker.
fn one(number: usize, worker: &WorkerStatus) -> Overall {
    if let Some(silence) = Silence::of(number) {
        return Overall {
            state: State::Unresponsive,
            reason: silence.to_string(),
            since: silence.since,
        };
    }
    let alive = processes::pid(number).is_some() || worker.state == State::Starting;
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

/// The silence of a worker whose process exists but writes no heartbeat any more.
pub struct Silence {
    /// The process that is silent.
    pid: i32,
    /// The time of its last heartbeat, in microseconds since 2000-01-01.
    since: i64,
    /// Seconds since then.
    seconds: i64,
}

impl Silence {
    /// Returns the silence of worker number `worker`, if its process is silent.
    pub fn of(worker: usize) -> Option<Self> {
        // The process id is read first, because the process writes its first heartbeat before its
        // id.
        let pid = processes::pid(worker)?;
        let since = processes::heartbeat(worker)?.load(Ordering::Relaxed);
        let age = now().checked_sub(since)?;
        (age > SILENT_AFTER).then_some(Self {
            pid,
            since,
            seconds: age / 1_000_000,
        })
    }

    /// Returns the time of the last heartbeat, in microseconds since 2000-01-01.
    pub fn since(&self) -> i64 {
        self.since
    }
}

impl Display for Silence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} has sent no heartbeat for {} s",
            self.pid, self.seconds
        )
    }
}

/// Returns whether any worker is silent, so that its status is out of date.
pub fn any_silent() -> bool {
    (0..config::workers()).any(|worker| Silence::of(worker).is_some())
}

/// Converts microseconds since 2000-01-01; `None` for 0, which means never.
pub fn time(at: i64) -> Option<TimestampWithTimeZone> {
    (at != 0)
        .then(|| TimestampWithTimeZone::try_from(at).ok())
        .flatten()
}
