//! What the status functions show as one of a few words.

/// What a worker, or a pipeline, is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// `sr_event_writer.enabled` is off.
    Disabled,
    /// On its way to the first message.
    Starting,
    /// Working.
    Running,
    /// Working on the way back from a fault.
    Degraded,
    /// Stopped on request, or because the destination does not fit.
    Paused,
    /// No worker is there.
    #[default]
    Stopped,
    /// The settings contradict each other.
    Misconfigured,
    /// This server is a standby; only the primary consumes.
    Standby,
    /// The worker is there, and shows no sign of life. Only readers can say that.
    Unresponsive,
}

impl State {
    /// States from best to worst; an operator has to see the worst first.
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

    /// Returns how bad it is: the higher, the worse.
    pub(super) fn rank(self) -> Option<usize> {
        Self::ORDER.iter().position(|state| *state == self)
    }

    /// Returns the word that status functions show.
    pub fn word(self) -> &'static str {
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

/// State of a worker's connection to NATS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionState {
    /// There is none; attempts are under way.
    #[default]
    Disconnected,
    /// There is one.
    Connected,
    /// There is one, to a server that is about to shut down.
    LameDuck,
}

impl ConnectionState {
    /// Returns the word that status functions show.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connected => "connected",
            Self::LameDuck => "lame duck",
        }
    }
}

/// State of a worker's circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything is written.
    #[default]
    Closed,
    /// Nothing is written for a while.
    Open,
    /// One small batch is tried.
    HalfOpen,
}

impl BreakerState {
    /// Returns the word that status functions show.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}
