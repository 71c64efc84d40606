//! Handles quiet streams: when no message comes for a while, asks the server whether there is one.
//! If there is none, everything up to the end of the stream is recorded. If there is one that does
//! not come within a little more time, the session ends.

use super::Fetch;
use super::server::{ConsumerCounts, Server};
use crate::batch::{AckMode, Tail};
use crate::error::SessionError;
use crate::state::{Phase, PhaseKind, PipelineState};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Time without a message after which the server is asked whether there is one.
pub(super) const QUIET: Duration = Duration::from_secs(10);
/// The same time while it is uncertain whether messages come, and after one should have come and
/// did not.
pub(super) const SUSPECT: Duration = Duration::from_secs(4);

/// The health of a fetch: whether messages come as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Uncertain: the next message will show it, or the server's answer that there is none.
    Unknown,
    /// Messages come, and the status shows fetching without a problem.
    Healthy,
    /// A message should have come and did not. It may be on its way at this moment; if it has not
    /// come when the server is asked the next time, something is wrong.
    Suspect,
}

impl Health {
    /// Returns the health at the start of a session, from the phase that the session before left in
    /// the status.
    pub(super) fn of(state: &PipelineState) -> Self {
        match state.phase() == Phase::FETCHING {
            true => Self::Healthy,
            false => Self::Unknown,
        }
    }

    /// Returns how long no message may come before the server is asked for the reason.
    pub(super) fn quiet_timeout(self) -> Duration {
        match self {
            Self::Healthy => QUIET,
            Self::Unknown | Self::Suspect => SUSPECT,
        }
    }
}

impl<S: Server> Fetch<'_, S> {
    /// Asks the server why no message comes. If there is none for this pipeline, everything up to
    /// the end of the stream is recorded, so that a later removal is no loss.
    pub(super) async fn ask_why_quiet(&mut self) -> Result<(), SessionError> {
        let last = self.server.last_sequence().await?;
        let counts = self.confirm_consumer().await?;
        self.report_counts(counts);
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
        if let Some(first) = self.sequences.first_unaccounted(last) {
            // In a cluster, the consumer may not know the newest messages yet; or somebody has
            // moved it behind them.
            if !self.server.is_empty(first, last).await {
                return self.suspect(SessionError::ConsumerMoved);
            }
            self.record_to_the_end(first, last).await?;
        }
        self.set_healthy();
        Ok(())
    }

    /// Records that messages come, or that there are none, and removes an earlier problem from the
    /// status.
    pub(super) fn set_healthy(&mut self) {
        if self.health != Health::Healthy {
            self.health = Health::Healthy;
            self.context.set_phase(PhaseKind::Fetching, "");
        }
    }

    /// Records that a message should have come. Fails the second time in a row.
    fn suspect(&mut self, error: SessionError) -> Result<(), SessionError> {
        if self.health == Health::Suspect {
            return Err(error);
        }
        self.health = Health::Suspect;
        Ok(())
    }

    fn report_counts(&self, counts: ConsumerCounts) {
        let state = &self.context.state;
        state.pending.store(counts.pending, Ordering::Relaxed);
        state
            .ack_pending
            .store(counts.ack_pending, Ordering::Relaxed);
    }

    /// Returns whether the server rightly sends nothing, because too many messages are not
    /// acknowledged.
    fn waits_for_acks(&self, counts: ConsumerCounts) -> bool {
        self.accumulator.batch.ack_mode == AckMode::Explicit
            && counts.ack_pending >= counts.max_ack_pending
    }

    fn show_that_it_waits_for_acks(&mut self) {
        if self.health == Health::Healthy {
            self.health = Health::Unknown;
        }
        let detail = "NATS sends no more until messages are acknowledged";
        self.context.state.set_phase(PhaseKind::Fetching, detail);
    }

    /// Hands over that `first..=last`, at the end of the stream, holds no message of this pipeline.
    /// Does nothing while a batch waits for the main thread; the next check tries again.
    async fn record_to_the_end(&mut self, first: u64, last: u64) -> Result<(), SessionError> {
        if self.context.batches.capacity() == 0 {
            return Ok(());
        }
        let newest = self.server.identity(last).await?;
        self.sequences.account_up_to(last);
        self.accumulator.batch.set_tail(Tail {
            first,
            last,
            newest,
        });
        self.send_batch().await;
        Ok(())
    }
}
