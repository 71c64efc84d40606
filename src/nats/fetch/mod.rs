//! Fetch: turns the messages of one session into batches. It receives a message, skips it if it was
//! fetched before, decodes it, and hands batches over. It ends at the first sign that a message may
//! be missing; a new session then starts over.

pub(crate) mod accumulator;
mod hand_over;
mod memory;
pub(crate) mod pull;
pub(crate) mod pull_request;
mod pull_status;
mod quiet;
mod rate_limit;
pub(crate) mod sequence_tracker;
pub(crate) mod server;
#[cfg(test)]
mod tests;

use crate::batch::{AckMode, Batch, FetchedMessage};
use crate::budget::Reservation;
use crate::context::Context;
use crate::error::SessionError;
use crate::sequences::Sequences;
use crate::stream_id::StreamId;
use crate::unreadable::headers::{self, Headers};
use accumulator::{BatchAccumulator, Release};
use async_nats::{StatusCode, Subject};
use decode::Reject;
use futures_util::FutureExt;
use hand_over::Confirmation;
use pull::Messages;
use quiet::Health;
use rate_limit::RateLimiter;
use sequence_tracker::{Delivery, SequenceTracker};
use server::Server;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// Bytes that a message takes in addition to its payload and headers: subject, reply subject,
/// bookkeeping.
pub(crate) const MESSAGE_OVERHEAD: usize = 512;
/// Header with the payload's size, on a message that was delivered without its payload.
const PAYLOAD_SIZE: &str = "Nats-Msg-Size";

/// An event that fetch reacts to.
#[allow(
    clippy::large_enum_variant,
    reason = "it is moved once, and a box would cost every message an allocation"
)]
enum Event {
    /// The next message, or the error after which no more messages come.
    Message(Result<async_nats::Message, SessionError>),
    /// The main thread took a batch, so the next one can be handed over.
    Room,
    /// The open batch has waited long enough.
    Due,
    /// No message came for [`Health::quiet_timeout`].
    Quiet,
}

/// The state of the fetch of one session.
pub(crate) struct Fetch<'a, S> {
    context: &'a Context,
    server: S,
    stream_id: Arc<StreamId>,
    /// Sequences that this session has fetched so far.
    fetched: Sequences,
    sequences: SequenceTracker,
    limiter: Option<RateLimiter>,
    accumulator: BatchAccumulator,
    health: Health,
    confirmation: Confirmation,
}

impl<'a, S: Server> Fetch<'a, S> {
    /// Creates the fetch of a session whose consumer was just set behind sequence `position`.
    /// `batch` takes the first messages.
    pub(crate) fn new(context: &'a Context, server: S, batch: Batch, position: u64) -> Self {
        context.last_fetched.store(0, Ordering::Relaxed);
        Self {
            context,
            server,
            stream_id: batch.stream_id.clone(),
            fetched: Sequences::default(),
            sequences: SequenceTracker::after(position),
            limiter: RateLimiter::new(context.pipeline.max_rate),
            accumulator: BatchAccumulator::new(batch),
            health: Health::of(&context.state),
            confirmation: Confirmation::new(),
        }
    }

    /// Fetches until the first error.
    pub(crate) async fn run(
        mut self,
        mut messages: impl Messages,
    ) -> Result<Infallible, SessionError> {
        loop {
            self.hand_over_if_ready().await?;
            // Most messages are there already, and a timer for each would cost more than the
            // message itself.
            let event = match messages.next().now_or_never() {
                Some(message) => Event::Message(message),
                None => self.wait(&mut messages).await,
            };
            match event {
                Event::Message(message) => self.receive(message?).await?,
                Event::Room => {}
                Event::Due => self.accumulator.mark_ready(),
                Event::Quiet => {
                    let missed_heartbeat = messages.has_missed_heartbeat();
                    // The server's answer is a better reason to end than the missed heartbeat, so
                    // ask first.
                    self.ask_why_quiet().await?;
                    if missed_heartbeat {
                        return Err(SessionError::MissedHeartbeat);
                    }
                }
            }
        }
    }

    async fn wait(&self, messages: &mut impl Messages) -> Event {
        let (until, then) = match self.due() {
            Some(due) => (due, Event::Due),
            None => (Instant::now() + self.health.quiet_timeout(), Event::Quiet),
        };
        let ready = self.accumulator.is_ready();
        tokio::select! {
            biased;
            message = messages.next() => Event::Message(message),
            Ok(_) = self.context.batches.reserve(), if ready => Event::Room,
            () = tokio::time::sleep_until(until), if !ready => then,
        }
    }

    /// Returns when the open batch has waited long enough: for `batch_timeout`, or until its
    /// confirmation may be requested if it waits only for that. `None` without a message.
    fn due(&self) -> Option<Instant> {
        let due = self.accumulator.due(&self.context.pipeline)?;
        Some(match self.accumulator.is_held_back() {
            true => due.min(self.confirmation.earliest()),
            false => due,
        })
    }

    async fn receive(&mut self, mut message: async_nats::Message) -> Result<(), SessionError> {
        let unreadable = || SessionError::Fetch("a delivery without its metadata".into());
        let reply = message.reply.take().ok_or_else(unreadable)?;
        let delivery = Delivery::of(&reply).ok_or_else(unreadable)?;
        self.update_counts(&delivery);
        let accounts_from = self.sequences.next(&delivery)?;
        self.set_healthy();
        if self.is_skippable_copy(delivery.sequence) {
            return Ok(());
        }
        if lacks_payload(&message) {
            // A consumer that was changed to deliver headers only would deliver it like this.
            self.confirm_consumer().await?;
        }
        let payload = message.payload.len();
        let size = payload + headers_size(&message);
        let reservation = self.reserve(size + payload + MESSAGE_OVERHEAD).await?;
        self.wait_for_rate().await?;
        self.fetched.insert(accounts_from, delivery.sequence);
        let last_fetched = &self.context.last_fetched;
        last_fetched.store(self.fetched.last(), Ordering::Relaxed);
        let rows_before = self.accumulator.batch.rows().size();
        let ours = self.context.pipeline.reads(&message.subject);
        let (reject, raw) = match message.status {
            _ if !ours => (None, None),
            None => (self.decode(&message, &delivery), None),
            Some(status) => self.reject_status(status, &message, &delivery).await?,
        };
        let rows = self.accumulator.batch.rows().size() - rows_before;
        let message = to_message(message, &delivery, (accounts_from, reply), (reject, raw));
        self.confirmation.is_needed |= accounts_from < message.sequence || !ours;
        self.append(message, size, reservation, delivery.pending);
        self.reserve_rows(rows.saturating_sub(payload)).await
    }

    fn update_counts(&self, delivery: &Delivery) {
        let state = &self.context.state;
        state.pending.store(delivery.pending, Ordering::Relaxed);
        if delivery.delivery_count > 1 {
            state.redelivered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns whether the message can be skipped: this session has fetched it before, and the
    /// second copy needs no acknowledgement. Where messages are acknowledged, a second copy means
    /// that the first acknowledgement may be lost. So the copy is kept, and the main thread
    /// acknowledges it once the message is recorded.
    fn is_skippable_copy(&self, sequence: u64) -> bool {
        let ack_mode = self.accumulator.batch.ack_mode;
        let skip = ack_mode == AckMode::None && self.fetched.contains(sequence);
        if skip {
            let duplicates = &self.context.state.duplicates_in_flight;
            duplicates.fetch_add(1, Ordering::Relaxed);
        }
        skip
    }

    async fn wait_for_rate(&mut self) -> Result<(), SessionError> {
        let limiter = self.limiter.as_mut();
        if let Some(at) = limiter.and_then(|limiter| limiter.take(Instant::now())) {
            let due = self.accumulator.due(&self.context.pipeline);
            if due.is_some_and(|due| due <= at) {
                self.hand_over().await?;
            }
            tokio::time::sleep_until(at).await;
        }
        Ok(())
    }

    fn decode(&mut self, message: &async_nats::Message, delivery: &Delivery) -> Option<Reject> {
        let pipeline = &self.context.pipeline;
        let input = pipeline.input(
            &self.stream_id,
            (delivery.sequence, delivery.published),
            &message.subject,
            &message.payload,
        );
        decode::decode_message(&*pipeline.format, &input, self.accumulator.batch.rows_mut()).err()
    }

    /// Rejects a message whose headers begin with a status, which only the server's own messages
    /// may have. The client does not expose the header bytes, so they are requested from the
    /// server.
    async fn reject_status(
        &self,
        status: StatusCode,
        message: &async_nats::Message,
        delivery: &Delivery,
    ) -> Result<(Option<Reject>, Option<Headers>), SessionError> {
        let status = headers::status_text(status, message.description.as_deref());
        let raw = self.server.headers(delivery.sequence).await?;
        let reject = Reject::message(headers::status_line(&status));
        Ok((Some(reject), raw.map(Headers::Raw)))
    }

    /// Adds a message of `size` bytes to the open batch; `pending` is the number of messages that
    /// are still on the server.
    fn append(
        &mut self,
        message: FetchedMessage,
        size: usize,
        reservation: Reservation,
        pending: u64,
    ) {
        self.accumulator.batch.push(message, size, reservation);
        // Skipped sequences are confirmed once for each batch, so larger batches need fewer
        // requests.
        let release = match self.confirmation.is_too_early() {
            true => Release::Later,
            false => Release::WhenReady,
        };
        let pipeline = &self.context.pipeline;
        self.accumulator.pushed(pipeline, pending, release);
    }
}

/// Creates the message that the main thread gets. It accounts for all sequences since
/// `accounts_from`.
fn to_message(
    message: async_nats::Message,
    delivery: &Delivery,
    (accounts_from, reply): (u64, Subject),
    (reject, raw): (Option<Reject>, Option<Headers>),
) -> FetchedMessage {
    FetchedMessage {
        sequence: delivery.sequence,
        accounts_from,
        delivery_count: delivery.delivery_count,
        published: delivery.published,
        subject: message.subject,
        headers: raw.or(message.headers.map(Headers::Parsed)),
        payload: message.payload,
        reply,
        reject,
    }
}

/// Returns the bytes that the headers of a delivery take in memory.
fn headers_size(message: &async_nats::Message) -> usize {
    let wire = || message.length.saturating_sub(message.payload.len());
    let headers = message.headers.as_ref();
    headers.map_or(0, |headers| headers::size(headers, wire()))
}

/// Returns whether the server may have left out the payload.
fn lacks_payload(message: &async_nats::Message) -> bool {
    let headers = message.headers.as_ref();
    message.payload.is_empty() && headers.is_some_and(|h| h.get(PAYLOAD_SIZE).is_some())
}
