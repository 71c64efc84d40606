//! Messages of one session become batches: pull, recognise what was already taken, decode, hand
//! over. It ends at the first sign that a message could be missing; the session then starts over.

pub(crate) mod accumulator;
pub(crate) mod pull;
mod rate_limit;
pub(crate) mod sequence_tracker;

use crate::batch::{Acks, Batch, Message, Source, Tail};
use crate::budget::{PipelineBudget, Reservation};
use crate::consumer::lookup;
use crate::consumer::ready::ReadyConsumer;
use crate::consumer::spec::ConsumerSpec;
use crate::consumer::stored::StoredMessages;
use crate::error::SessionError;
use crate::fetch::accumulator::BatchAccumulator;
use crate::fetch::pull::{Pull, PullSize};
use crate::fetch::rate_limit::RateLimiter;
use crate::fetch::sequence_tracker::{Delivery, SequenceTracker};
use crate::sequences::Sequences;
use crate::session::{Session, Waker};
use crate::settings::Pipeline;
use crate::state::{Phase, PhaseKind, Progress};
use crate::unreadable::headers::{self, Headers};
use async_nats::jetstream::{
    consumer::{self, Consumer, pull::Config as ConsumerConfig},
    stream,
};
use async_nats::{Client, StatusCode};
use decode::Reject;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// After this long without a message the server is asked whether there is none.
const QUIET: Duration = Duration::from_secs(10);
/// … and after this long once more, when there is one that does not come.
const DOUBT: Duration = Duration::from_secs(4);
/// How often the server is asked, at most, whether nothing lies between two messages.
const CONFIRM_EVERY: Duration = Duration::from_millis(100);
/// After this long without memory for a message that is shown: a transaction gives some back sooner.
const SHORT: Duration = Duration::from_secs(2);
/// … in these words.
const OUT_OF_MEMORY: &str =
    "waits for memory: what is not written yet fills sr_event_writer.buffer_memory";
/// Messages asked for at once: enough to keep the way to the server full.
const PULL_MESSAGES: usize = 1_000;
/// … and bytes of them. What a link does not carry within ten seconds makes the server cut it.
const PULL_BYTES: usize = 1 << 20;
/// Bytes that a message costs beside its payload and headers: subject, reply, bookkeeping.
pub(crate) const MESSAGE_OVERHEAD: usize = 512;
/// Header of a message that comes without its payload.
const PAYLOAD_SIZE: &str = "Nats-Msg-Size";
/// Protocol bytes that the server counts with a message.
const PROTOCOL_BYTES: usize = 64 << 10;

/// What a fetch waits for.
#[allow(
    clippy::large_enum_variant,
    reason = "it is moved once, and a box would cost every message an allocation"
)]
enum Event {
    /// The next message, or why none comes any more.
    Message(Result<async_nats::Message, SessionError>),
    /// A batch was taken, so there is room for the next one.
    Room,
    /// The oldest message of the open batch has waited for long enough.
    Due,
    /// No message came for a while.
    Quiet,
}

pub(crate) struct Fetch<'a> {
    pipeline: &'a Pipeline,
    budget: &'a PipelineBudget,
    progress: &'a Arc<Progress>,
    batches: &'a mpsc::Sender<Batch>,
    wake: &'a Waker,
    source: Arc<Source>,
    stream: stream::Stream,
    consumer: Consumer<ConsumerConfig>,
    /// The messages of the stream one by one.
    store: StoredMessages,
    /// What this session has taken so far …
    taken: Sequences,
    /// … and the highest of it, for the session after it.
    newest: &'a AtomicU64,
    order: SequenceTracker,
    /// The consumer as it has to stay.
    terms: ConsumerSpec,
    pace: Option<RateLimiter>,
    open: BatchAccumulator,
    /// The last look around found something that ought to have come.
    doubt: bool,
    /// The state shows that messages are fetched, and nothing else.
    well: bool,
    /// What the open batch settles is only right if the consumer and the stream are what they were.
    unsure: bool,
    /// When the server last said that the consumer is as it has to be.
    confirmed: Instant,
}

impl<'a> Fetch<'a> {
    pub(crate) fn new(
        session: &'a Session,
        source: Arc<Source>,
        stream: stream::Stream,
        positioned: ReadyConsumer,
        store: StoredMessages,
    ) -> Self {
        let whole_stream = session.pipeline.reads_all_of(&stream.cached_info().config);
        Self {
            pipeline: &session.pipeline,
            budget: &session.budget,
            progress: &session.progress,
            batches: &session.batches,
            wake: &session.wake,
            open: BatchAccumulator::new(Batch::new(
                source.clone(),
                positioned.acks,
                whole_stream,
                session.pipeline.format,
                session.progress.clone(),
            )),
            source,
            stream,
            store,
            order: SequenceTracker::after(&positioned),
            terms: positioned.terms,
            consumer: positioned.consumer,
            taken: Sequences::default(),
            newest: &session.taken,
            pace: RateLimiter::new(session.pipeline.max_rate),
            doubt: false,
            well: session.progress.phase() == Phase::FETCHING,
            unsure: false,
            confirmed: Instant::now(),
        }
    }

    pub(crate) async fn run(mut self, mut pull: Pull) -> Result<(), SessionError> {
        loop {
            self.pass_on().await?;
            // Most messages are there already, and a timer for each would cost more than they do.
            let event = match pull.next().now_or_never() {
                Some(message) => Event::Message(message),
                None => self.wait(&mut pull).await,
            };
            match event {
                Event::Message(message) => self.take(message?).await?,
                Event::Room if self.batches.is_closed() => return Err(SessionError::Stopped),
                Event::Room => {}
                Event::Due => self.open.mark_ready(),
                Event::Quiet => {
                    let silent = pull.is_silent();
                    // What it finds says more than the silence does.
                    self.look_around().await?;
                    if silent {
                        return Err(SessionError::MissedHeartbeat);
                    }
                }
            }
        }
    }

    async fn wait(&self, pull: &mut Pull) -> Event {
        let (until, then) = match self.open.due(self.pipeline) {
            Some(due) => (due, Event::Due),
            None => (Instant::now() + self.patience(), Event::Quiet),
        };
        let ripe = self.open.is_ready();
        tokio::select! {
            biased;
            message = pull.next() => Event::Message(message),
            _ = self.batches.reserve(), if ripe => Event::Room,
            () = tokio::time::sleep_until(until), if !ripe => then,
        }
    }

    /// How long no message may come before the server is asked why.
    fn patience(&self) -> Duration {
        if self.doubt || !self.well {
            DOUBT
        } else {
            QUIET
        }
    }

    /// After a while without a message: is there really none? What the stream holds then is no
    /// concern of this pipeline and counts as settled, so that its later removal is no loss.
    async fn look_around(&mut self) -> Result<(), SessionError> {
        let last = self.ask_stream().await?.state.last_sequence;
        let info = self.ask().await?;
        self.progress
            .pending
            .store(info.num_pending, Ordering::Relaxed);
        self.progress
            .ack_pending
            .store(info.num_ack_pending as u64, Ordering::Relaxed);
        let lost = self.order.outstanding(info.delivered.consumer_sequence);
        if lost > 0 {
            return self.doubt(SessionError::Lost(lost));
        }
        if info.num_pending > 0 {
            // While the server waits for acknowledgements it is right to send nothing.
            let most = info.config.max_ack_pending;
            let held = self.open.batch.acks == Acks::Each && info.num_ack_pending as i64 >= most;
            if !held {
                return self.doubt(SessionError::Stalled(info.num_pending));
            }
            self.well = false;
            let detail = "NATS sends no more until messages are acknowledged";
            self.progress.set_phase(PhaseKind::Fetching, detail);
            return Ok(());
        }
        if let Some(first) = self.order.unsettled(last) {
            // In a cluster the consumer may not have heard of the newest messages yet; or somebody
            // has moved it behind them.
            if !lookup::is_empty(&self.store, &self.pipeline.subjects, first, last).await {
                return self.doubt(SessionError::ConsumerMoved);
            }
            if self.batches.capacity() > 0 {
                let newest = lookup::witness(&self.store, last).await?;
                let tail = Tail {
                    first,
                    last,
                    newest,
                };
                self.order.settle(last);
                self.open.batch.set_tail(tail);
                self.send_batch().await?;
            }
        }
        self.doubt = false;
        self.show_that_all_is_well();
        Ok(())
    }

    /// After trouble that is only sure when a message comes, or when there is none to come.
    fn show_that_all_is_well(&mut self) {
        if !std::mem::replace(&mut self.well, true) {
            self.progress.set_phase(PhaseKind::Fetching, "");
            (self.wake)();
        }
    }

    /// A message may be on its way in this very moment; a second time something is wrong.
    fn doubt(&mut self, error: SessionError) -> Result<(), SessionError> {
        if std::mem::replace(&mut self.doubt, true) {
            return Err(error);
        }
        Ok(())
    }

    /// Asks the server for the stream. If all of it was ours, it has to be so still: what does not
    /// come counts as removed.
    async fn ask_stream(&self) -> Result<stream::Info, SessionError> {
        let info = self.stream.get_info().await?;
        lookup::refuse_leaderless(&info)?;
        if self.open.batch.whole_stream && !self.pipeline.reads_all_of(&info.config) {
            return Err(SessionError::StreamChanged);
        }
        Ok(info)
    }

    /// Asks the server for the consumer, which has to be as it was when the session began.
    async fn ask(&mut self) -> Result<consumer::Info, SessionError> {
        let info = self.consumer.get_info().await;
        let info = info.map_err(|error| SessionError::Consumer(error.to_string()))?;
        self.terms.check_unchanged(&info)?;
        self.confirmed = Instant::now();
        Ok(info)
    }

    async fn take(&mut self, mut message: async_nats::Message) -> Result<(), SessionError> {
        let unreadable = || SessionError::Fetch("a delivery without its particulars".to_owned());
        let reply = message.reply.take().ok_or_else(unreadable)?;
        let delivery = Delivery::of(&reply).ok_or_else(unreadable)?;
        self.progress
            .pending
            .store(delivery.pending, Ordering::Relaxed);
        if delivery.delivered > 1 {
            self.progress.redelivered.fetch_add(1, Ordering::Relaxed);
        }
        self.doubt = false;
        let covers = self.order.next(&delivery)?;
        self.show_that_all_is_well();
        if self.is_settled_by_an_earlier_copy(delivery.sequence) {
            return Ok(());
        }
        if is_bare(&message) {
            // Had the consumer been told to leave payloads out, this would not be the message.
            self.ask().await?;
        }
        let payload = message.payload.len();
        let size = payload + headers_size(&message);
        let share = self.afford(size + payload + MESSAGE_OVERHEAD).await?;
        self.wait_for_pace().await?;
        self.taken.insert(covers, delivery.sequence);
        self.newest.store(self.taken.last(), Ordering::Relaxed);
        let before = self.open.batch.rows().size();
        let ours = self.pipeline.reads(&message.subject);
        let (reject, raw) = match message.status {
            _ if !ours => (None, None),
            None => (self.decode(&message, &delivery), None),
            Some(status) => self.refuse(status, &message, &delivery).await?,
        };
        let beyond = (self.open.batch.rows().size() - before).saturating_sub(payload);
        let message = Message {
            sequence: delivery.sequence,
            covers,
            delivered: delivery.delivered,
            published: delivery.published,
            subject: message.subject,
            headers: raw.or(message.headers.map(Headers::Read)),
            payload: message.payload,
            reply,
            reject,
        };
        self.unsure |= covers < message.sequence || !ours;
        self.open.batch.push(message, size, share);
        // What is between messages is confirmed batch by batch, so the batches are larger then.
        let hold = self.unsure && self.confirmed.elapsed() < CONFIRM_EVERY;
        self.open.pushed(self.pipeline, delivery.pending, hold);
        self.settle(beyond).await
    }

    /// Pays for rows that are larger than their payload let expect, as those of a long array of
    /// small objects are. What is not free now is waited for, so at most one message is owed.
    async fn settle(&mut self, bytes: usize) -> Result<(), SessionError> {
        if bytes == 0 {
            return Ok(());
        }
        match self.budget.try_take(bytes) {
            Some(share) => self.open.batch.charge(share),
            None => drop(self.wait_for_memory(bytes).await?),
        }
        Ok(())
    }

    /// A message that this session has already taken needs no second copy where none is acknowledged.
    /// Elsewhere the copy says that the first acknowledgement may be lost: it passes, and the main
    /// thread acknowledges it once the message is recorded.
    fn is_settled_by_an_earlier_copy(&self, sequence: u64) -> bool {
        let settled = self.open.batch.acks == Acks::Nothing && self.taken.contains(sequence);
        if settled {
            self.progress
                .duplicates_in_flight
                .fetch_add(1, Ordering::Relaxed);
        }
        settled
    }

    /// Takes a share of the byte budget.
    async fn afford(&mut self, bytes: usize) -> Result<Reservation, SessionError> {
        match self.budget.try_take(bytes) {
            Some(share) => Ok(share),
            None => self.wait_for_memory(bytes).await,
        }
    }

    /// Waits for a share of the byte budget. Before that the open batch is handed over: it may hold
    /// the very bytes that are waited for.
    async fn wait_for_memory(&mut self, bytes: usize) -> Result<Reservation, SessionError> {
        let (budget, progress, wake) = (self.budget, self.progress, self.wake);
        let share = {
            let share = async {
                self.hand_over().await?;
                budget.take(bytes).await.ok_or(SessionError::Stopped)
            };
            let mut share = std::pin::pin!(share);
            if let Ok(share) = tokio::time::timeout(SHORT, &mut share).await {
                return share;
            }
            progress.set_phase(PhaseKind::OutOfMemory, OUT_OF_MEMORY);
            wake();
            share.await?
        };
        self.well = false;
        self.show_that_all_is_well();
        Ok(share)
    }

    async fn wait_for_pace(&mut self) -> Result<(), SessionError> {
        let pace = self.pace.as_mut();
        if let Some(at) = pace.and_then(|pace| pace.take(Instant::now())) {
            if self.open.due(self.pipeline).is_some_and(|due| due <= at) {
                self.hand_over().await?;
            }
            tokio::time::sleep_until(at).await;
        }
        Ok(())
    }

    fn decode(&mut self, message: &async_nats::Message, delivery: &Delivery) -> Option<Reject> {
        let input = self.pipeline.input(
            &self.source,
            (delivery.sequence, delivery.published),
            &message.subject,
            &message.payload,
        );
        decode::decode_message(self.pipeline.format, &input, self.open.batch.rows_mut()).err()
    }

    /// A message whose headers begin with a status, as only the server's own messages do. The client
    /// does not give these bytes away.
    async fn refuse(
        &self,
        status: StatusCode,
        message: &async_nats::Message,
        delivery: &Delivery,
    ) -> Result<(Option<Reject>, Option<Headers>), SessionError> {
        let status = headers::status_text(status, message.description.as_deref());
        let stored = self.store.get(delivery.sequence).await?;
        let raw = stored.map(|stored| Headers::Raw(stored.headers));
        Ok((Some(Reject::message(headers::status_line(&status))), raw))
    }

    /// Hands a ripe batch over when there is room for it. Until then it grows; a full one waits.
    async fn pass_on(&mut self) -> Result<(), SessionError> {
        if self.open.is_ready() && (self.batches.capacity() > 0 || self.open.is_full(self.pipeline))
        {
            self.hand_over().await?;
        }
        Ok(())
    }

    async fn hand_over(&mut self) -> Result<(), SessionError> {
        if self.open.batch.is_empty() {
            return Ok(());
        }
        // With another filter on the consumer there may be messages in between after all, and with more
        // subjects in the stream the consumer needs one.
        if std::mem::take(&mut self.unsure) {
            self.ask().await?;
            if self.open.batch.whole_stream {
                self.ask_stream().await?;
            }
        }
        if let Some((first, last)) = self.order.take_unverified()
            && !lookup::is_empty(&self.store, &self.pipeline.subjects, first, last).await
        {
            return Err(SessionError::ConsumerMoved);
        }
        self.send_batch().await
    }

    async fn send_batch(&mut self) -> Result<(), SessionError> {
        let sent = self.batches.send(self.open.take(self.pipeline)).await;
        sent.map_err(|_| SessionError::Stopped)?;
        (self.wake)();
        Ok(())
    }
}

/// Bytes that the headers of a delivery take.
fn headers_size(message: &async_nats::Message) -> usize {
    let wire = || message.length.saturating_sub(message.payload.len());
    let headers = message.headers.as_ref();
    headers.map_or(0, |headers| headers::size(headers, wire()))
}

/// Whether the server may have left the payload out.
fn is_bare(message: &async_nats::Message) -> bool {
    let headers = message.headers.as_ref();
    message.payload.is_empty() && headers.is_some_and(|h| h.get(PAYLOAD_SIZE).is_some())
}

/// What is asked for at once.
pub(crate) fn at_once(session: &Session, client: &Client) -> PullSize {
    PullSize {
        messages: PULL_MESSAGES.max(session.pipeline.batch_size),
        bytes: pull_bytes(session, client),
    }
}

/// Bytes asked for at once: a part of the budget, and no more than a slow link brings in seconds;
/// but always enough for the largest message, since the server answers a request that cannot hold
/// the next message with an error, for ever.
fn pull_bytes(session: &Session, client: &Client) -> usize {
    let fair = session.settings.buffer_bytes / (4 * session.pipelines.max(1));
    fair.min(PULL_BYTES)
        .max(client.server_info().max_payload + PROTOCOL_BYTES)
}
