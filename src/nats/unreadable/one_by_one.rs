//! Reads messages one by one. When the client cannot parse a message it treats the connection as
//! broken, and all pipelines lose it. So after such cuts the next messages are requested one at a
//! time, as JSON, in which no content can break the connection. A message that the client could not
//! have parsed becomes a dead letter; all others are handled as usual.
//!
//! Afterwards the consumer is set behind all these messages. On streams where that removes
//! messages, they must be durable first. So the session waits for that, and if it takes long,
//! reading one by one goes on.

use crate::batch::{AckMode, Batch, FetchedMessage};
use crate::consumer::ready::{self, ReadyConsumer};
use crate::consumer::stored::{StoredMessage, StoredMessages};
use crate::context::Context;
use crate::error::SessionError;
use crate::fetch;
use crate::fetch::accumulator::BatchAccumulator;
use crate::sequences::Sequences;
use crate::stream_id::StreamId;
use crate::unreadable::headers::{self, Headers};
use async_nats::Client;
use async_nats::Subject;
use async_nats::jetstream::stream::Stream;
use decode::Reject;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// Number of pull requests whose messages may have been on their way when the connection was cut.
const REQUESTS: usize = 2;
/// Longest wait for messages to become durable before further ones are read.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);

/// Reads the next messages of a pipeline one by one.
pub(crate) struct OneByOneReader<'a> {
    context: &'a Context,
    stream_id: &'a Arc<StreamId>,
    messages: &'a StoredMessages,
    accumulator: BatchAccumulator,
    /// Sequences that are recorded in the database.
    position: Sequences,
    /// The consumer, which does not move meanwhile.
    ready_consumer: ReadyConsumer,
    /// Sequence of the last message that was read.
    last: u64,
    /// Sequences of messages that the session has to acknowledge itself.
    to_acknowledge: Vec<u64>,
    /// One report for each batch that was handed over; the session acknowledges once all have come.
    reports: VecDeque<oneshot::Receiver<()>>,
}

impl<'a> OneByOneReader<'a> {
    /// Starts behind the consumer's position. Sequences in `position` are recorded already.
    pub(crate) fn new(
        context: &'a Context,
        stream_id: &'a Arc<StreamId>,
        stream: &Stream,
        messages: &'a StoredMessages,
        (position, ready_consumer): (Sequences, ReadyConsumer),
    ) -> Self {
        let pipeline = &context.pipeline;
        Self {
            context,
            stream_id,
            messages,
            accumulator: BatchAccumulator::new(Batch::new(
                stream_id.clone(),
                AckMode::None,
                pipeline.reads_all_of(&stream.cached_info().config),
                &pipeline.format,
                context.state.clone(),
            )),
            last: ready_consumer.position,
            position,
            ready_consumer,
            to_acknowledge: Vec::new(),
            reports: VecDeque::new(),
        }
    }

    /// Reads all messages that may have been on their way when the connection was cut, or up to the
    /// end of the stream, and sets the consumer behind them. `on_its_way` is the number of messages
    /// of a pull request.
    pub(crate) async fn run(
        mut self,
        client: &Client,
        on_its_way: usize,
    ) -> Result<ReadyConsumer, SessionError> {
        loop {
            self.read(on_its_way).await?;
            if self.is_durable().await? {
                break;
            }
        }
        let behind = ready::reset_behind_if_unchanged(self.ready_consumer, self.last).await?;
        ready::acknowledge(client, &behind.consumer, &self.to_acknowledge).await?;
        Ok(behind)
    }

    async fn read(&mut self, on_its_way: usize) -> Result<(), SessionError> {
        let taken = self.context.last_fetched.load(Ordering::Relaxed);
        let mut further = REQUESTS * on_its_way;
        let all = [">".to_owned()];
        let subjects = match (
            self.ready_consumer.ack_mode,
            self.accumulator.batch.whole_stream,
        ) {
            (AckMode::None, true) => all.as_slice(),
            // To acknowledge messages of other subjects would take them from other consumers.
            (AckMode::Explicit, _) | (AckMode::None, false) => {
                self.context.pipeline.subjects.as_slice()
            }
        };
        while further > 0 {
            let Some(stored) = self.messages.next(subjects, self.last + 1).await? else {
                break;
            };
            if stored.sequence > taken {
                further -= 1;
            }
            self.append(stored).await?;
        }
        self.hand_over().await
    }

    /// Returns whether all that was handed over is durable, after waiting at most
    /// [`DURABLE_WITHIN`].
    async fn is_durable(&mut self) -> Result<bool, SessionError> {
        let until = Instant::now() + DURABLE_WITHIN;
        while let Some(report) = self.reports.front_mut() {
            match timeout_at(until, report).await {
                Ok(Ok(())) => self.reports.pop_front(),
                Ok(Err(_)) => return Err(SessionError::Dropped),
                Err(_) => return Ok(false),
            };
        }
        Ok(true)
    }

    async fn append(&mut self, stored: StoredMessage) -> Result<(), SessionError> {
        let sequence = stored.sequence;
        let accounts_from = self.last + 1;
        self.last = sequence;
        match self.ready_consumer.ack_mode {
            AckMode::None if self.position.contains(sequence) => return Ok(()),
            AckMode::None => {}
            // Duplicates are left to the main thread, which knows whether the recorded message is
            // durable.
            AckMode::Explicit => self.to_acknowledge.push(sequence),
        }
        let (headers, problem) = self.parse_headers(&stored).await?;
        let size =
            stored.payload.len() + headers.as_ref().map_or(0, |h| h.size(stored.headers.len()));
        let bytes = size + stored.payload.len() + fetch::MESSAGE_OVERHEAD;
        let reservation = match self.context.budget.try_reserve(bytes) {
            Some(reservation) => reservation,
            None => {
                self.hand_over().await?;
                self.context.budget.reserve(bytes).await
            }
        };
        let reject = self.decode(&stored, problem);
        let message = FetchedMessage {
            sequence,
            accounts_from,
            delivery_count: 1,
            published: stored.published,
            subject: Subject::from(stored.subject),
            headers,
            payload: stored.payload,
            // The message was not delivered, so there is none.
            reply: Subject::from_static(""),
            reject,
        };
        self.accumulator.batch.push(message, size, reservation);
        if self.accumulator.is_full(&self.context.pipeline) {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Returns the headers, and what is wrong if the client could not have parsed the message.
    async fn parse_headers(
        &self,
        stored: &StoredMessage,
    ) -> Result<(Option<Headers>, Option<String>), SessionError> {
        let raw = Some(&stored.headers).filter(|raw| !raw.is_empty());
        let parsed = raw.map(|raw| headers::parse(raw)).transpose();
        let subject = if self.messages.has_a_readable_subject(stored).await? {
            headers::refuse_subject(&stored.subject, raw.is_some())
        } else {
            Err("subject: not UTF-8".to_owned())
        };
        Ok(match (parsed, subject) {
            (Ok(parsed), subject) => (parsed.map(Headers::Parsed), subject.err()),
            (Err(problem), _) => (raw.cloned().map(Headers::Raw), Some(problem)),
        })
    }

    /// Decodes a message, unless it belongs to another subject. Returns the reject, if it is one.
    fn decode(&mut self, stored: &StoredMessage, problem: Option<String>) -> Option<Reject> {
        let pipeline = &self.context.pipeline;
        if !pipeline.reads(&stored.subject) {
            return None;
        }
        if let Some(problem) = problem {
            return Some(Reject::message(problem));
        }
        let input = pipeline.input(
            self.stream_id,
            (stored.sequence, stored.published),
            &stored.subject,
            &stored.payload,
        );
        decode::decode_message(&*pipeline.format, &input, self.accumulator.batch.rows_mut()).err()
    }

    async fn hand_over(&mut self) -> Result<(), SessionError> {
        if self.accumulator.batch.is_empty() {
            return Ok(());
        }
        let mut batch = self.accumulator.take(&self.context.pipeline);
        if self.ready_consumer.ack_mode == AckMode::Explicit {
            let (durable, report) = oneshot::channel();
            batch.report_to(durable);
            self.reports.push_back(report);
        }
        self.context.send(batch).await;
        Ok(())
    }
}
