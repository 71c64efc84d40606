//! States that the status functions show as single words.

/// The state of a worker or a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// `sr_event_writer.enabled` is off.
    Disabled,
    /// It is starting: it has not reached its first message yet.
    Starting,
    /// It works without a problem.
    Running,
    /// It has a problem: it tries again by itself, or recovers from a fault.
    Degraded,
    /// It is stopped, on request or because the destination does not fit.
    Paused,
    /// No worker process is running.
    #[default]
    Stopped,
    /// The settings contradict each other, or the pipeline's own are refused.
    Misconfigured,
    /// This server is a standby; only the primary consumes.
    Standby,
    /// The worker process exists but its heartbeat has stopped. Only the functions that read the
    /// status can detect this.
    Unresponsive,
}

impl State {
    /// States from best to worst. The worst one is shown, because that is the one an operator has
    /// to see.
    const ORDER: [Self; 9] = [
        Self::Running,
        Self::Paused,
        Self::Disabled,
        Self::Standby,
        Self::Starting,
        Self::Degraded,
        Self::Misconfigured,
        Self::Unresponsive,
        Self::Stopped,
    ];

    /// Returns how bad the state is: higher is worse.
    pub(super) fn rank(self) -> Option<usize> {
        Self::ORDER.iter().position(|state| *state == self)
    }

    /// Returns the word that status functions show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Misconfigured => "misconfigured",
            Self::Standby => "standby",
            Self::Unresponsive => "unresponsive",
        }
    }
}

/// The state of a worker's connection to NATS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionState {
    /// There is no connection; it is being established.
    #[default]
    Disconnected,
    /// There is a connection.
    Connected,
    /// There is a connection, to a server that is about to shut down.
    LameDuck,
}

impl ConnectionState {
    /// Returns the word that status functions show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connected => "connected",
            Self::LameDuck => "lame duck",
        }
    }
}

/// The state of a worker's circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything is written.
    #[default]
    Closed,
    /// Pipelines that have failed write nothing for a while.
    Open,
    /// A probe is tried: a single message.
    HalfOpen,
}

impl BreakerState {
    /// Returns the word that status functions show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}
