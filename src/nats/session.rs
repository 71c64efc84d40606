//! Sessions of a pipeline: set up the consumer, fetch until the first error, and start over after a
//! delay. Every error is handled in the same way: ask the database for the position, set the
//! consumer to it, fetch. Nothing is repaired within a session.

use crate::backoff::Backoff;
use crate::batch::Batch;
use crate::connection::Connector;
use crate::connection::state::LOSS_SHOWN_AFTER;
use crate::consumer::ready::{self, ReadyConsumer};
use crate::consumer::stored::StoredMessages;
use crate::consumer::{self, lookup};
use crate::context::{Context, until_dropped};
use crate::error::SessionError;
use crate::fetch::Fetch;
use crate::fetch::pull::Pull;
use crate::fetch::pull_request::PullSize;
use crate::fetch::server::JetStream;
use crate::resume::{PositionReply, PositionRequest};
use crate::sequences::Sequences;
use crate::state::{PhaseKind, seconds};
use crate::stream_id::StreamId;
use crate::unreadable::cuts::{Cut, CutHistory, ReadMode};
use crate::unreadable::one_by_one::OneByOneReader;
use crate::version;
use crate::watch::Watch;
use async_nats::Client;
use async_nats::jetstream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// A session that has lasted this long counts as a success for the backoff.
const STABLE: Duration = Duration::from_secs(10);

/// Time in which a lost connection is noticed as such. A request that fails because of it may be
/// faster.
const LOSS_NOTICED_WITHIN: Duration = Duration::from_millis(100);

/// Delay after another writer has taken the consumer over. Both writers wait about this long, so
/// that each of them makes progress.
const TAKEN_DELAY: Duration = Duration::from_secs(10);

/// Runs the sessions of one pipeline.
pub(crate) struct Session {
    /// Number of pipelines that share the connection.
    pub(crate) pipelines: usize,
    pub(crate) context: Context,
    pub(crate) connector: Arc<Connector>,
    /// Sends position requests to the main thread.
    pub(crate) position_requests: mpsc::Sender<PositionRequest>,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Session {
    /// Runs sessions until it is told to stop.
    pub(crate) async fn run(mut self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            // A dropped sender means stop as well.
            _ = stop.wait_for(|stop| *stop) => {}
            never = self.run_for_ever() => match never {},
        }
        self.context.set_phase(PhaseKind::Stopped, "");
    }

    async fn run_for_ever(&mut self) -> Infallible {
        let mut backoff = Backoff::new(
            self.context.settings.retry_min,
            self.context.settings.retry_max,
        );
        let mut history = CutHistory::default();
        loop {
            self.context
                .set_phase_of_a_new_session(PhaseKind::Connecting, "");
            let client = self.connected().await;
            let started = Instant::now();
            let error = self.run_connected(&client, &mut history).await;
            if started.elapsed() >= STABLE {
                backoff.reset();
            }
            // A missing permission shows as a request without an answer; only the error that the
            // server reports on the connection names it.
            let reported = self
                .connector
                .state()
                .error_since(started, &self.consumer());
            if matches!(error, SessionError::Disconnected) {
                self.wait_after_cut(history.record_cut()).await;
            } else {
                history.record_end();
                self.wait_after(&error, reported, &mut backoff).await;
            }
        }
    }

    /// Waits for the connection, and returns its client. If that takes long, the status shows it
    /// instead of what ended the last session.
    async fn connected(&self) -> Client {
        let connected = self.connector.connected();
        match tokio::time::timeout(LOSS_SHOWN_AFTER, connected).await {
            Ok(client) => client,
            Err(_) => {
                self.context.set_phase(PhaseKind::Connecting, "");
                self.connector.connected().await
            }
        }
    }

    async fn wait_after(
        &self,
        error: &SessionError,
        reported: Option<String>,
        backoff: &mut Backoff,
    ) {
        let delay = match error {
            SessionError::ConsumerTaken { .. } => Backoff::delay(TAKEN_DELAY, TAKEN_DELAY, 0),
            _ => backoff.next_delay(),
        };
        self.context.set_phase(
            PhaseKind::Waiting,
            format!(
                "{error}{}; next try in {}",
                reported
                    .map(|text| format!(" ({text})"))
                    .unwrap_or_default(),
                seconds(delay)
            ),
        );
        tokio::time::sleep(delay).await;
    }

    /// Waits after a lost connection until it is restored. The status changes only if that takes
    /// long.
    async fn wait_after_cut(&self, cut: Cut) {
        self.connected().await;
        if cut == Cut::Twice {
            tokio::time::sleep(LOSS_SHOWN_AFTER / 5).await;
        }
    }

    /// Runs one session, and returns what ended it: the loss of the connection before anything that
    /// follows from it.
    async fn run_connected(&self, client: &Client, history: &mut CutHistory) -> SessionError {
        let lost = self.connector.state().disconnected();
        tokio::pin!(lost);
        let Err(error) = tokio::select! {
            () = &mut lost => Err(SessionError::Disconnected),
            ended = self.run_once(client, history) => ended,
        };
        if matches!(error, SessionError::Disconnected) {
            return error;
        }
        match tokio::time::timeout(LOSS_NOTICED_WITHIN, lost).await {
            Ok(()) => SessionError::Disconnected,
            Err(_) => error,
        }
    }

    /// Runs one session, from finding the stream to the first error.
    async fn run_once(
        &self,
        client: &Client,
        history: &mut CutHistory,
    ) -> Result<Infallible, SessionError> {
        let (context, mode) = (&self.context, history.begin());
        version::refuse_old(&client.server_info())?;
        let stream = consumer::stream::find(&self.jetstream(client), &context.pipeline).await?;
        lookup::refuse_leaderless(stream.cached_info())?;
        let stream_id = Arc::new(consumer::stream::id(&stream));
        let domain = context.settings.domain.as_deref();
        let messages = StoredMessages::new(client, &stream_id.name, domain);
        let position = self.ask_position(&stream, &messages, &stream_id).await?;
        let (pipeline, settings) = (&context.pipeline, &context.settings);
        let mut ready = ready::prepare(client, &stream, pipeline, settings, &position).await?;
        let size = self.pull_size(client);
        if mode == ReadMode::OneByOne {
            let from = (position, ready);
            let reader = OneByOneReader::new(context, &stream_id, &stream, &messages, from);
            ready = reader.run(client, size.messages).await?;
        }
        self.show_fetching(&ready);
        let watch = Watch {
            context,
            connector: &self.connector,
            stream: stream.clone(),
            consumer: ready.consumer.clone(),
            spec: ready.spec.clone(),
        };
        let pull = Pull::begin(client, &watch.consumer, domain, size).await?;
        let fetch = self.fetch(stream_id, stream, ready, messages);
        history.record_fetching();
        tokio::select! {
            changed = watch.run() => Err(changed),
            ended = fetch.run(pull) => ended,
        }
    }

    fn pull_size(&self, client: &Client) -> PullSize {
        let (settings, pipeline) = (&self.context.settings, &self.context.pipeline);
        let max_payload = client.server_info().max_payload;
        PullSize::new(settings, pipeline, self.pipelines, max_payload)
    }

    fn show_fetching(&self, ready: &ReadyConsumer) {
        let context = &self.context;
        if ready.consumer.cached_info().num_pending == 0 {
            context.set_phase(PhaseKind::Fetching, "");
        } else {
            // An earlier problem stays shown until the first message arrives.
            context.set_phase_of_a_new_session(PhaseKind::Fetching, "");
        }
    }

    fn fetch(
        &self,
        stream_id: Arc<StreamId>,
        stream: jetstream::stream::Stream,
        ready: ReadyConsumer,
        messages: StoredMessages,
    ) -> Fetch<'_, JetStream> {
        let (pipeline, state) = (&self.context.pipeline, &self.context.state);
        let whole_stream = pipeline.reads_all_of(&stream.cached_info().config);
        let (ack_mode, format) = (ready.ack_mode, &pipeline.format);
        let batch = Batch::new(stream_id, ack_mode, whole_stream, format, state.clone());
        let server = JetStream {
            stream,
            consumer: ready.consumer,
            spec: ready.spec,
            messages,
            pipeline: pipeline.clone(),
            whole_stream,
        };
        Fetch::new(&self.context, server, batch, ready.position)
    }

    /// Returns the name of the consumer.
    fn consumer(&self) -> String {
        self.context.pipeline.consumer_name(&self.context.settings)
    }

    fn jetstream(&self, client: &Client) -> jetstream::Context {
        match &self.context.settings.domain {
            Some(domain) => jetstream::with_domain(client.clone(), domain),
            None => jetstream::new(client.clone()),
        }
    }

    async fn ask_position(
        &self,
        stream: &jetstream::stream::Stream,
        messages: &StoredMessages,
        stream_id: &StreamId,
    ) -> Result<Sequences, SessionError> {
        self.context.set_phase_of_a_new_session(
            PhaseKind::Positioning,
            "waiting for the position in the database",
        );
        let state = stream.cached_info().state.clone();
        let (mut found, mut verified) = (None, None);
        loop {
            let (reply, replied) = oneshot::channel();
            let request = PositionRequest {
                stream_id: stream_id.clone(),
                first_sequence: state.first_sequence,
                last_sequence: state.last_sequence,
                found,
                verified,
                reply,
            };
            if self.position_requests.send(request).await.is_err() {
                until_dropped().await;
            }
            (self.context.wake)();
            match replied.await.map_err(|_| SessionError::NoPosition)? {
                PositionReply::Position(position) => return Ok(position),
                PositionReply::LookUp(time) => {
                    found = Some(lookup::first_at(stream, messages, time).await?)
                }
                PositionReply::Verify(identity) => {
                    verified = Some((identity, lookup::verify(stream, messages, identity).await?));
                }
            }
        }
    }
}
