//! Hands batches over to the main thread: when, and what the server has to confirm before.

use super::Fetch;
use super::server::{ConsumerCounts, Server};
use crate::error::SessionError;
use std::time::Duration;
use tokio::time::Instant;

/// Shortest time between two confirmations. While a batch waits for its confirmation it grows.
pub(super) const CONFIRM_EVERY: Duration = Duration::from_millis(100);

/// The state of confirmations: a batch that skips sequences needs one before it is handed over.
pub(super) struct Confirmation {
    /// The open batch accounts for sequences that were not delivered, or has messages of other
    /// subjects. That is right only if consumer and stream are unchanged.
    pub(super) is_needed: bool,
    /// When the server last answered that the consumer is unchanged.
    last: Instant,
}

impl Confirmation {
    /// Starts with a consumer that was just set to its position.
    pub(super) fn new() -> Self {
        Self {
            is_needed: false,
            last: Instant::now(),
        }
    }

    /// Returns whether the open batch has to wait for its confirmation. It may grow meanwhile.
    pub(super) fn is_too_early(&self) -> bool {
        self.is_needed && Instant::now() < self.earliest()
    }

    /// Returns when the next confirmation may be requested.
    pub(super) fn earliest(&self) -> Instant {
        self.last + CONFIRM_EVERY
    }
}

impl<S: Server> Fetch<'_, S> {
    /// Hands over a ready batch if there is room for it. Otherwise it grows until it is full; then
    /// fetching waits for room.
    pub(super) async fn hand_over_if_ready(&mut self) -> Result<(), SessionError> {
        let has_to_go = || {
            self.context.batches.capacity() > 0 || self.accumulator.is_full(&self.context.pipeline)
        };
        if self.accumulator.is_ready() && has_to_go() {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Hands over the open batch, if it has messages.
    pub(super) async fn hand_over(&mut self) -> Result<(), SessionError> {
        if self.accumulator.batch.is_empty() {
            return Ok(());
        }
        // If the consumer has another filter now, there may be messages of the pipeline in between
        // after all. If the stream takes more subjects now, the consumer needs a filter.
        if std::mem::take(&mut self.confirmation.is_needed) {
            self.confirm_consumer().await?;
            if self.accumulator.batch.whole_stream {
                self.server.last_sequence().await?;
            }
        }
        if let Some((first, last)) = self.sequences.take_unverified()
            && !self.server.is_empty(first, last).await
        {
            return Err(SessionError::ConsumerMoved);
        }
        self.send_batch().await;
        Ok(())
    }

    /// Requests the consumer from the server. Fails if it was changed since the session began.
    pub(super) async fn confirm_consumer(&mut self) -> Result<ConsumerCounts, SessionError> {
        let counts = self.server.consumer().await?;
        self.confirmation.last = Instant::now();
        Ok(counts)
    }

    /// Sends the open batch to the main thread, and begins an empty one.
    pub(super) async fn send_batch(&mut self) {
        let batch = self.accumulator.take(&self.context.pipeline);
        self.context.send(batch).await;
    }
}
