//! From the fetch to the main thread: when a batch is handed over, and what has to be confirmed
//! before.

use super::Fetch;
use super::server::{ConsumerCounts, Server};
use crate::error::SessionError;
use std::time::Duration;
use tokio::time::Instant;

/// How often the server is asked, at most, whether nothing lies between two messages.
pub(super) const CONFIRM_EVERY: Duration = Duration::from_millis(100);

/// What the server has to confirm before the open batch is handed over.
pub(super) struct Confirmation {
    /// The open batch settles sequences that did not come, which is right only if consumer and
    /// stream are what they were.
    pub(super) is_needed: bool,
    /// When the server last said that the consumer is as it has to be.
    last: Instant,
}

impl Confirmation {
    /// Begins with a consumer that was just set in place.
    pub(super) fn new() -> Self {
        Self {
            is_needed: false,
            last: Instant::now(),
        }
    }

    /// Returns whether the open batch has to wait for its confirmation, and may grow meanwhile.
    pub(super) fn is_too_early(&self) -> bool {
        self.is_needed && self.last.elapsed() < CONFIRM_EVERY
    }
}

impl<S: Server> Fetch<'_, S> {
    /// Hands a ready batch over when there is room for it. Until then it grows; a full one waits.
    pub(super) async fn hand_over_if_ready(&mut self) -> Result<(), SessionError> {
        let has_to_go = || {
            self.context.batches.capacity() > 0 || self.accumulator.is_full(&self.context.pipeline)
        };
        if self.accumulator.is_ready() && has_to_go() {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Hands the open batch over, if there is a message in it.
    pub(super) async fn hand_over(&mut self) -> Result<(), SessionError> {
        if self.accumulator.batch.is_empty() {
            return Ok(());
        }
        // With another filter on the consumer there may be messages in between after all, and with
        // more subjects in the stream the consumer needs one.
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

    /// Asks the server for the consumer, which has to be as it was when the session began.
    pub(super) async fn confirm_consumer(&mut self) -> Result<ConsumerCounts, SessionError> {
        let counts = self.server.consumer().await?;
        self.confirmation.last = Instant::now();
        Ok(counts)
    }

    /// Sends the open batch to the main thread, and begins the next one.
    pub(super) async fn send_batch(&mut self) {
        let batch = self.accumulator.take(&self.context.pipeline);
        self.context.send(batch).await;
    }
}
