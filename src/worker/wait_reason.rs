//! Wait events of the worker in `pg_stat_activity`.

use crate::pg::latch::WaitEvent;

/// The reason why the worker is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// It is disabled, or the extension is missing.
    Start,
    /// NATS is not connected.
    Nats,
    /// No message has arrived.
    Messages,
    /// A failed transaction is tried again later.
    Backoff,
}

/// The wait events of all reasons, registered with PostgreSQL.
pub struct WaitEvents([WaitEvent; 4]);

impl WaitEvents {
    /// Registers the names. Call it when attached to shared memory.
    pub fn register() -> Self {
        Self([
            WaitEvent::register(c"SrEventWriterStart"),
            WaitEvent::register(c"SrEventWriterNats"),
            WaitEvent::register(c"SrEventWriterIdle"),
            WaitEvent::register(c"SrEventWriterBackoff"),
        ])
    }

    /// Returns the event of a reason.
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
