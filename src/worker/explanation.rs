//! The states of pipelines and of the connection that they share, in the words that the status
//! functions and the server log show.

use super::ack_queue::PendingAcks;
use super::pipeline::{Blocked, Pipeline};
use crate::status::State;
use nats::{Connection, Connectivity, Phase, PhaseKind, Problem};

/// Separates a problem from the time of the next attempt. A change of the latter alone is no change
/// of state.
const NEXT: &str = "; next try";

/// A state with the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The state.
    pub state: State,
    /// Cause and next action, as text; empty if there is nothing to say.
    pub reason: String,
    /// What is at fault.
    pub cause: Cause,
}

/// What is at fault for a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Whatever has the state: a pipeline or a worker.
    Own,
    /// Nothing: a pipeline is on its way to another state, which follows soon.
    Passing,
    /// The connection to NATS, which all pipelines of a worker share; with its problem, once an
    /// attempt to connect has failed.
    Connection(Option<Problem>),
}

impl Explained {
    /// Returns a state that has its own cause.
    pub fn own(state: State, reason: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.into(),
            cause: Cause::Own,
        }
    }

    /// Returns the state of a pipeline that is being set up.
    fn passing(reason: String) -> Self {
        Self {
            state: State::Starting,
            reason,
            cause: Cause::Passing,
        }
    }

    /// Returns whether another explanation is the same, but for the time of the next attempt.
    pub fn is_same(&self, state: State, reason: &str) -> bool {
        self.state == state && stable(&self.reason) == stable(reason)
    }
}

/// Returns the part of a reason that counts as the state.
fn stable(reason: &str) -> &str {
    reason.split(NEXT).next().unwrap_or(reason)
}

/// Returns what is wrong with the connection, unless it is up, or was so just now.
pub fn of_connection(connection: &Connection) -> Option<Explained> {
    if connection.is_interrupted() {
        return None;
    }
    let problem = connection.problem();
    let (state, reason) = match (connection.connectivity(), &problem) {
        (Connectivity::Connected | Connectivity::LameDuck, _) => return None,
        (Connectivity::Disconnected, Some(problem)) => {
            let detail = problem.detail.as_ref();
            let detail = detail.map(|text| format!(". {text}")).unwrap_or_default();
            let reason = format!("NATS is not connected: {}{detail}", problem.message);
            (State::Degraded, reason)
        }
        (Connectivity::Disconnected, None) if connection.is_trying_first() => {
            (State::Starting, "connecting to NATS".to_owned())
        }
        (Connectivity::Disconnected, None) => (State::Degraded, "NATS is not connected".to_owned()),
    };
    Some(Explained {
        state,
        reason,
        cause: Cause::Connection(problem),
    })
}

/// Returns the state of a pipeline.
pub fn of_pipeline(pipeline: &Pipeline, connection: &Connection, acks: &PendingAcks) -> Explained {
    let phase = pipeline.subscription.state().phase();
    let blocked = pipeline.blocked.as_ref();
    if let Some(blocked) = blocked {
        return of_blocked(blocked, &phase);
    }
    match phase.kind {
        PhaseKind::Fetching => of_fetching(pipeline, acks, phase),
        PhaseKind::Waiting | PhaseKind::OutOfMemory => {
            Explained::own(State::Degraded, phase.detail)
        }
        PhaseKind::Positioning | PhaseKind::Stopped => Explained::passing(phase.detail),
        PhaseKind::Connecting => {
            of_connection(connection).unwrap_or_else(|| Explained::passing(phase.detail))
        }
    }
}

/// Returns the state of a pipeline that fetches and writes.
fn of_fetching(pipeline: &Pipeline, acks: &PendingAcks, phase: Phase) -> Explained {
    let refusal = pipeline.subscription.state().ack_refusal();
    match (acks.standby_wait(pipeline.slot), refusal) {
        (Some(reason), _) => Explained::own(State::Degraded, reason),
        (None, Some(refusal)) => {
            let reason = format!("rows are written, but NATS takes no acknowledgement: {refusal}");
            Explained::own(State::Degraded, reason)
        }
        (None, None) => Explained::own(State::Running, phase.detail),
    }
}

/// Returns the state of a pipeline that does not write.
fn of_blocked(blocked: &Blocked, phase: &Phase) -> Explained {
    let short = match phase.kind {
        PhaseKind::OutOfMemory => format!("; {}", phase.detail),
        _ => String::new(),
    };
    match blocked {
        Blocked::Paused => Explained::own(State::Paused, "paused by sr_event_writer_pause()"),
        Blocked::SchemaMismatch(failure) => Explained::own(
            State::Paused,
            format!("{failure}; resumes by itself when the table fits{short}"),
        ),
        Blocked::Retrying(failure) => {
            Explained::own(State::Degraded, format!("{failure}{NEXT} follows{short}"))
        }
    }
}
