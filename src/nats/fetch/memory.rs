//! Reservations of fetch: it keeps a message only once there is memory for it in the byte budget.

use super::Fetch;
use super::server::Server;
use crate::budget::Reservation;
use crate::error::SessionError;
use crate::state::PhaseKind;
use std::time::Duration;

/// Time after which the status shows a wait for memory. A transaction usually frees some sooner.
pub(super) const MEMORY_WAIT_SHOWN_AFTER: Duration = Duration::from_secs(2);
/// Text that it shows.
const OUT_OF_MEMORY: &str =
    "waits for memory: what is not written yet fills sr_event_writer.buffer_memory";

impl<S: Server> Fetch<'_, S> {
    /// Reserves `bytes` of the budget for a message.
    pub(super) async fn reserve(&mut self, bytes: usize) -> Result<Reservation, SessionError> {
        match self.context.budget.try_reserve(bytes) {
            Some(reservation) => Ok(reservation),
            None => self.wait_for_memory(bytes).await,
        }
    }

    /// Reserves memory for rows that are larger than their payload, such as those of a long array
    /// of small objects. If it is not free now, this waits until it is, so the memory in use
    /// exceeds the budget by the rows of one message at most.
    pub(super) async fn reserve_rows(&mut self, bytes: usize) -> Result<(), SessionError> {
        if bytes == 0 {
            return Ok(());
        }
        match self.context.budget.try_reserve(bytes) {
            Some(reservation) => self.accumulator.batch.add_reservation(reservation),
            None => drop(self.wait_for_memory(bytes).await?),
        }
        Ok(())
    }

    /// Waits for `bytes` of the budget. Hands over the open batch first, because that may hold the
    /// very bytes that are needed.
    async fn wait_for_memory(&mut self, bytes: usize) -> Result<Reservation, SessionError> {
        let context = self.context;
        let reservation = {
            let reservation = async {
                self.hand_over().await?;
                Ok(context.budget.reserve(bytes).await)
            };
            let mut reservation = std::pin::pin!(reservation);
            if let Ok(taken) = tokio::time::timeout(MEMORY_WAIT_SHOWN_AFTER, &mut reservation).await
            {
                return taken;
            }
            context.set_phase(PhaseKind::OutOfMemory, OUT_OF_MEMORY);
            reservation.await?
        };
        self.health = super::quiet::Health::Unknown;
        self.set_healthy();
        Ok(reservation)
    }
}
