//! Messages of one session become batches: pull, recognise what was already taken, decode, hand
//! over. It ends at the first sign that a message could be missing; the session then starts over.

use crate::batch::{Batch, Message, Source};
use crate::budget::{Budget, Share};
use crate::consumer::Positioned;
use crate::error::SessionError;
use crate::pace::Pace;
use crate::sequences::Sequences;
use crate::session::{Session, Waker};
use crate::settings::Pipeline;
use crate::state::Progress;
use async_nats::Client;
use async_nats::jetstream::{
    self,
    consumer::{Consumer, pull},
    stream,
};
use futures_util::StreamExt;
use row::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long one pull request stays open on the server.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// The server says that it is alive this often while there is nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After this long without a message the server is asked whether there is none.
const QUIET: Duration = Duration::from_secs(10);
/// Messages asked for at once: enough to keep the way to the server full.
const PULL_MESSAGES: usize = 1_000;
/// What a message costs beside its payload: subject, reply, headers, bookkeeping.
const MESSAGE_OVERHEAD: usize = 512;
/// A batch is handed over at this size even when it has few messages.
const BATCH_BYTES: usize = 4 << 20;
/// Protocol bytes that the server counts with a message.
const PROTOCOL_BYTES: usize = 64 << 10;

pub(crate) struct Fetch<'a> {
    pipeline: &'a Pipeline,
    budget: &'a Budget,
    progress: &'a Progress,
    batches: &'a mpsc::Sender<Batch>,
    wake: &'a Waker,
    source: Arc<Source>,
    stream: stream::Stream,
    consumer: Consumer<pull::Config>,
    pull_bytes: usize,
    /// What this session has taken so far.
    taken: Sequences,
    order: Order,
    pace: Pace,
    batch: Batch,
    /// When the open batch has to be handed over.
    due: Option<Instant>,
    /// The last look around found messages that do not come.
    quiet_with_pending: bool,
}

impl<'a> Fetch<'a> {
    pub(crate) fn new(
        session: &'a Session,
        source: Arc<Source>,
        stream: stream::Stream,
        positioned: Positioned,
        client: &Client,
    ) -> Self {
        let whole_stream = stream.cached_info().config.subjects == session.pipeline.subjects;
        let next = positioned
            .consumer
            .cached_info()
            .delivered
            .consumer_sequence
            + 1;
        Self {
            pipeline: &session.pipeline,
            budget: &session.budget,
            progress: &session.progress,
            batches: &session.batches,
            wake: &session.wake,
            batch: Batch::new(
                source.clone(),
                positioned.acks,
                whole_stream,
                session.pipeline.format,
            ),
            source,
            stream,
            consumer: positioned.consumer,
            pull_bytes: pull_bytes(session, client),
            taken: Sequences::default(),
            order: Order {
                next,
                last_new: Some(positioned.delivered),
                resettable: positioned.resettable,
            },
            pace: Pace::new(session.pipeline.max_rate),
            due: None,
            quiet_with_pending: false,
        }
    }

    pub(crate) async fn run(mut self) -> Result<(), SessionError> {
        let mut messages = self
            .consumer
            .stream()
            .max_messages_per_batch(PULL_MESSAGES.max(self.pipeline.batch_size))
            .max_bytes_per_batch(self.pull_bytes)
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await?;
        loop {
            let until = self.due.unwrap_or_else(|| Instant::now() + QUIET);
            match tokio::time::timeout_at(until, messages.next()).await {
                Ok(Some(Ok(message))) => self.take(message).await?,
                Ok(Some(Err(error))) => return Err(error.into()),
                Ok(None) => {
                    return Err(SessionError::Fetch("the server ended the pull".to_owned()));
                }
                Err(_) if self.due.is_some() => self.hand_over().await?,
                Err(_) => self.look_around().await?,
            }
        }
    }

    /// After a while without a message: is there really none? What the stream holds then is no
    /// concern of this pipeline and counts as settled, so that its later removal is no loss.
    async fn look_around(&mut self) -> Result<(), SessionError> {
        let stream = self.stream.get_info().await?;
        let info = self.consumer.get_info().await;
        let info = info.map_err(|error| SessionError::Consumer(error.to_string()))?;
        self.progress
            .pending
            .store(info.num_pending, Ordering::Relaxed);
        self.progress
            .ack_pending
            .store(info.num_ack_pending as u64, Ordering::Relaxed);
        if info.num_pending > 0 {
            // While the server waits for acknowledgements it is right to send nothing.
            let held = info.num_ack_pending as i64 >= info.config.max_ack_pending;
            return if held {
                Ok(())
            } else {
                self.stalled(info.num_pending)
            };
        }
        self.quiet_with_pending = false;
        let last = stream.state.last_sequence;
        if let Some(first) = self.order.settle(last) {
            self.batch.set_tail(first, last);
            self.hand_over_batch().await?;
        }
        Ok(())
    }

    /// A message may have arrived at the server in this very moment; a second time it is a stall.
    fn stalled(&mut self, pending: u64) -> Result<(), SessionError> {
        if std::mem::replace(&mut self.quiet_with_pending, true) {
            return Err(SessionError::Stalled(pending));
        }
        Ok(())
    }

    async fn take(&mut self, message: jetstream::Message) -> Result<(), SessionError> {
        let unreadable = || SessionError::Fetch("a delivery without its particulars".to_owned());
        let delivery = Delivery::of(&message).ok_or_else(unreadable)?;
        let message = message.message;
        let reply = message.reply.clone().ok_or_else(unreadable)?;
        self.progress
            .pending
            .store(delivery.pending, Ordering::Relaxed);
        if delivery.delivered > 1 {
            self.progress.redelivered.fetch_add(1, Ordering::Relaxed);
        }
        self.quiet_with_pending = false;
        let covers = self.order.next(&delivery)?;
        if self.in_flight(delivery.sequence) {
            return Ok(());
        }
        let payload = message.payload.len();
        let share = self.afford(2 * payload + MESSAGE_OVERHEAD).await?;
        self.wait_for_pace().await?;
        self.taken.insert(covers, delivery.sequence);
        let before = self.batch.rows().size();
        let reject = self.decode(&message, &delivery);
        let beyond = (self.batch.rows().size() - before).saturating_sub(payload);
        let message = Message {
            sequence: delivery.sequence,
            covers,
            delivered: delivery.delivered,
            published: delivery.published,
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
            reply,
            reject,
        };
        self.batch.push(message, share);
        self.settle(beyond).await?;
        self.after_push().await
    }

    /// Pays for rows that are larger than their payload let expect, as those of a long array of
    /// small objects are. What is not free now is waited for, so at most one message is owed.
    async fn settle(&mut self, bytes: usize) -> Result<(), SessionError> {
        if bytes == 0 {
            return Ok(());
        }
        match self.budget.try_take(bytes) {
            Some(share) => self.batch.charge(share),
            None => {
                self.hand_over().await?;
                self.budget.take(bytes).await.ok_or(SessionError::Stopped)?;
            }
        }
        Ok(())
    }

    /// A message that this session has already taken will be acknowledged by its first copy. What
    /// was recorded before the session began is not in the set and passes, to be acknowledged.
    fn in_flight(&self, sequence: u64) -> bool {
        let duplicate = self.taken.contains(sequence);
        if duplicate {
            self.progress
                .duplicates_in_flight
                .fetch_add(1, Ordering::Relaxed);
        }
        duplicate
    }

    /// Takes a share of the byte budget. Before waiting, the open batch is handed over: it may hold
    /// the very bytes that are waited for.
    async fn afford(&mut self, bytes: usize) -> Result<Share, SessionError> {
        if let Some(share) = self.budget.try_take(bytes) {
            return Ok(share);
        }
        self.hand_over().await?;
        self.budget.take(bytes).await.ok_or(SessionError::Stopped)
    }

    async fn wait_for_pace(&mut self) -> Result<(), SessionError> {
        if let Some(at) = self.pace.take(Instant::now()) {
            if self.due.is_some_and(|due| due <= at) {
                self.hand_over().await?;
            }
            tokio::time::sleep_until(at).await;
        }
        Ok(())
    }

    fn decode(
        &mut self,
        message: &async_nats::Message,
        delivery: &Delivery,
    ) -> Option<decode::Reject> {
        let input = decode::Message {
            subject: &message.subject,
            payload: &message.payload,
            stream: &self.source.stream,
            sequence: delivery.sequence,
            published: delivery.published,
            window: self.pipeline.window(delivery.published),
        };
        decode::decode_message(self.pipeline.format, &input, self.batch.rows_mut()).err()
    }

    async fn after_push(&mut self) -> Result<(), SessionError> {
        let full = self.batch.len() >= self.pipeline.batch_size
            || self.batch.payload_bytes() + self.batch.rows().size() >= BATCH_BYTES;
        if full {
            return self.hand_over().await;
        }
        if self.due.is_none() {
            self.due = Some(Instant::now() + self.pipeline.batch_timeout);
        }
        Ok(())
    }

    async fn hand_over(&mut self) -> Result<(), SessionError> {
        self.due = None;
        if self.batch.is_empty() {
            return Ok(());
        }
        self.hand_over_batch().await
    }

    async fn hand_over_batch(&mut self) -> Result<(), SessionError> {
        let empty = Batch::new(
            self.source.clone(),
            self.batch.acks,
            self.batch.whole_stream,
            self.pipeline.format,
        );
        let full = std::mem::replace(&mut self.batch, empty);
        self.batches
            .send(full)
            .await
            .map_err(|_| SessionError::Stopped)?;
        (self.wake)();
        Ok(())
    }
}

/// Bytes asked for at once: a part of the budget, but always enough for the largest message, since
/// the server answers a request that cannot hold the next message with an error, for ever.
fn pull_bytes(session: &Session, client: &Client) -> usize {
    let fair = session.settings.buffer_bytes / (4 * session.pipelines.max(1));
    fair.max(client.server_info().max_payload + PROTOCOL_BYTES)
}

/// What the server says about one delivery.
struct Delivery {
    sequence: u64,
    consumer_sequence: u64,
    delivered: i64,
    pending: u64,
    published: Timestamp,
}

impl Delivery {
    /// `None` for what is not a delivery of a consumer, or has an impossible time.
    fn of(message: &jetstream::Message) -> Option<Self> {
        let info = message.info().ok()?;
        Some(Self {
            sequence: info.stream_sequence,
            consumer_sequence: info.consumer_sequence,
            delivered: info.delivered,
            pending: info.pending,
            published: Timestamp::from_unix_nanos(info.published.unix_timestamp_nanos())?,
        })
    }
}

/// Watches that deliveries come in the consumer's order without a gap, since only then it is known
/// that nothing lies between two of them.
struct Order {
    /// Consumer sequence of the next delivery.
    next: u64,
    /// Highest stream sequence delivered so far; `None` when something was lost after it.
    last_new: Option<u64>,
    resettable: bool,
}

impl Order {
    /// Settles everything up to `last`, when the consumer has nothing more to deliver up to there.
    /// The first sequence that this settles; `None` when that is nothing, or something was lost.
    fn settle(&mut self, last: u64) -> Option<u64> {
        let before = self.last_new.filter(|&before| before < last)?;
        self.last_new = Some(last);
        Some(before + 1)
    }

    /// The first sequence that this delivery settles, the one after the delivery before it.
    fn next(&mut self, delivery: &Delivery) -> Result<u64, SessionError> {
        let lost = delivery.consumer_sequence.saturating_sub(self.next);
        self.next = delivery.consumer_sequence + 1;
        if lost > 0 {
            if self.resettable {
                return Err(SessionError::Lost(lost));
            }
            self.last_new = None;
        }
        let sequence = delivery.sequence;
        match self.last_new {
            Some(last) if sequence > last => {
                self.last_new = Some(sequence);
                Ok(last + 1)
            }
            None if delivery.delivered == 1 => {
                self.last_new = Some(sequence);
                Ok(sequence)
            }
            _ => Ok(sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(consumer_sequence: u64, sequence: u64, delivered: i64) -> Delivery {
        Delivery {
            sequence,
            consumer_sequence,
            delivered,
            pending: 0,
            published: Timestamp::default(),
        }
    }

    fn order(resettable: bool) -> Order {
        Order {
            next: 1,
            last_new: Some(10),
            resettable,
        }
    }

    #[test]
    fn a_delivery_settles_everything_since_the_one_before() {
        let mut order = order(true);
        assert_eq!(order.next(&delivery(1, 14, 1)).unwrap(), 11);
        assert_eq!(order.next(&delivery(2, 20, 1)).unwrap(), 15);
    }

    #[test]
    fn a_quiet_stream_is_settled_to_its_end() {
        let mut order = order(true);
        order.next(&delivery(1, 14, 1)).unwrap();
        assert_eq!(order.settle(14), None);
        assert_eq!(order.settle(20), Some(15));
        assert_eq!(order.next(&delivery(2, 25, 1)).unwrap(), 21);
        order.last_new = None;
        assert_eq!(order.settle(30), None);
    }

    #[test]
    fn a_redelivery_settles_only_itself() {
        let mut order = order(true);
        order.next(&delivery(1, 14, 1)).unwrap();
        assert_eq!(order.next(&delivery(2, 7, 2)).unwrap(), 7);
        assert_eq!(order.next(&delivery(3, 16, 1)).unwrap(), 15);
    }

    #[test]
    fn a_lost_delivery_ends_the_session_where_the_server_can_send_it_again() {
        let mut order = order(true);
        order.next(&delivery(1, 11, 1)).unwrap();
        assert!(matches!(
            order.next(&delivery(4, 14, 1)),
            Err(SessionError::Lost(2))
        ));
    }

    #[test]
    fn after_a_lost_delivery_nothing_before_the_next_new_one_is_settled() {
        let mut order = order(false);
        order.next(&delivery(1, 11, 1)).unwrap();
        assert_eq!(order.next(&delivery(3, 15, 1)).unwrap(), 15);
        assert_eq!(order.next(&delivery(4, 13, 2)).unwrap(), 13);
        assert_eq!(order.next(&delivery(5, 17, 1)).unwrap(), 16);
    }
}
