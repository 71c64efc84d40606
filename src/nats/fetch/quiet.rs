//! No message comes: is there none? After a while the server is asked. If so, all that the stream
//! holds counts as settled; if not, a new session begins a little later.

use super::Fetch;
use super::server::{ConsumerCounts, Server};
use crate::batch::{AckPolicy, Tail};
use crate::error::SessionError;
use crate::state::{Phase, PhaseKind, PipelineState};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// After this long without a message the server is asked whether there is none.
pub(super) const QUIET: Duration = Duration::from_secs(10);
/// After this long once more, when there was one that did not come.
pub(super) const SUSPECT: Duration = Duration::from_secs(4);

/// Whether messages come as they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It will show with the next message, or when there is none to come.
    Unknown,
    /// They do, and the shown phase says so: fetching, without a problem.
    Good,
    /// One that ought to have come did not. It may be on its way this very moment; if it does not
    /// come until the next time that the server is asked, something is wrong.
    Suspect,
}

impl Health {
    /// Begins with what the phase shows of the session before.
    pub(super) fn of(state: &PipelineState) -> Self {
        match state.phase() == Phase::FETCHING {
            true => Self::Good,
            false => Self::Unknown,
        }
    }

    /// Returns how long no message may come before the server is asked why.
    pub(super) fn quiet_timeout(self) -> Duration {
        match self {
            Self::Good => QUIET,
            Self::Unknown | Self::Suspect => SUSPECT,
        }
    }
}

impl<S: Server> Fetch<'_, S> {
    /// Asks the server why no message comes. What the stream holds when there is none for this
    /// pipeline counts as settled, so that its later removal is no loss.
    pub(super) async fn ask_why_quiet(&mut self) -> Result<(), SessionError> {
        let last = self.server.last_sequence().await?;
        let counts = self.confirm_consumer().await?;
        self.show(counts);
        let lost = self.sequences.outstanding(counts.deliveries);
        if lost > 0 {
            return self.suspect(SessionError::Lost(lost));
        }
        if counts.pending > 0 {
            if self.waits_for_acks(counts) {
                self.show_that_it_waits_for_acks();
                return Ok(());
            }
            return self.suspect(SessionError::Stalled(counts.pending));
        }
        if let Some(first) = self.sequences.unsettled(last) {
            // In a cluster the consumer may not have heard of the newest messages yet; or somebody
            // has moved it behind them.
            if !self.server.is_empty(first, last).await {
                return self.suspect(SessionError::ConsumerMoved);
            }
            self.settle_to_the_end(first, last).await?;
        }
        self.set_good();
        Ok(())
    }

    /// Records that messages come, or that there is none to come, and shows that earlier trouble is
    /// over.
    pub(super) fn set_good(&mut self) {
        if self.health != Health::Good {
            self.health = Health::Good;
            self.context.set_phase(PhaseKind::Fetching, "");
        }
    }

    /// Records that a message ought to have come. Fails at the second time in a row.
    fn suspect(&mut self, error: SessionError) -> Result<(), SessionError> {
        if self.health == Health::Suspect {
            return Err(error);
        }
        self.health = Health::Suspect;
        Ok(())
    }

    fn show(&self, counts: ConsumerCounts) {
        let state = &self.context.state;
        state.pending.store(counts.pending, Ordering::Relaxed);
        state
            .ack_pending
            .store(counts.ack_pending, Ordering::Relaxed);
    }

    /// Returns whether the server is right to send nothing.
    fn waits_for_acks(&self, counts: ConsumerCounts) -> bool {
        self.accumulator.batch.acks == AckPolicy::Explicit
            && counts.ack_pending >= counts.max_ack_pending
    }

    fn show_that_it_waits_for_acks(&mut self) {
        if self.health == Health::Good {
            self.health = Health::Unknown;
        }
        let detail = "NATS sends no more until messages are acknowledged";
        self.context.state.set_phase(PhaseKind::Fetching, detail);
    }

    /// Hands over that `first..=last`, the end of the stream, holds nothing for this pipeline.
    /// Later, if the main thread still has a batch to take.
    async fn settle_to_the_end(&mut self, first: u64, last: u64) -> Result<(), SessionError> {
        if self.context.batches.capacity() == 0 {
            return Ok(());
        }
        let newest = self.server.witness(last).await?;
        self.sequences.settle(last);
        self.accumulator.batch.set_tail(Tail {
            first,
            last,
            newest,
        });
        self.send_batch().await;
        Ok(())
    }
}
