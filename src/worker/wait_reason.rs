//! What the worker waits for, as `pg_stat_activity` shows it.

use crate::pg::latch::WaitEvent;

/// Why the worker has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// To be switched on, or for the extension.
    Start,
    /// NATS is not connected.
    Nats,
    /// Messages.
    Messages,
    /// The next try after a database error.
    Backoff,
}

/// The wait events, once PostgreSQL knows them.
pub struct WaitEvents([WaitEvent; 4]);

impl WaitEvents {
    /// Registers the names. To be called when attached to shared memory.
    pub fn register() -> Self {
        Self([
            WaitEvent::register(c"SrEventWriterStart"),
            WaitEvent::register(c"SrEventWriterNats"),
            WaitEvent::register(c"SrEventWriterIdle"),
            WaitEvent::register(c"SrEventWriterBackoff"),
        ])
    }

    /// Gives the event of a reason.
    pub fn of(&self, reason: WaitReason) -> WaitEvent {
        let [start, nats, messages, backoff] = self.0;
        match reason {
            WaitReason::Start => start,
            WaitReason::Nats => nats,
            WaitReason::Messages => messages,
            WaitReason::Backoff => backoff,
        }
    }
}
