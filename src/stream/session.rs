//! The life of a pipeline on the NATS side: bring it to its first message, fetch until something
//! ends that, and start over with a delay. Every end is treated alike: ask the database where the
//! pipeline stands, put the consumer there, fetch. Nothing is patched up in place.

use crate::backoff::Backoff;
use crate::batch::{Batch, Source};
use crate::budget::PipelineBudget;
use crate::connection::Connector;
use crate::consumer::lookup;
use crate::consumer::ready;
use crate::consumer::spec::{self, ConsumerSpec};
use crate::consumer::stored::StoredMessages;
use crate::error::SessionError;
use crate::fetch::pull::Pull;
use crate::fetch::{self, Fetch};
use crate::resume::{Answer, ResumeRequest};
use crate::sequences::Sequences;
use crate::settings::{Pipeline, Settings};
use crate::state::{PhaseKind, Progress, seconds};
use crate::unreadable::cuts::{Cut, CutHistory, ReadMode};
use crate::unreadable::one_by_one::OneByOneReader;
use crate::version;
use async_nats::Client;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::{self, context::GetStreamByNameErrorKind, context::GetStreamErrorKind};
use row::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// A session that fetched for this long counts as a success for the backoff.
const STABLE: Duration = Duration::from_secs(10);

/// For so long a connection may be gone without a word.
const BRIEF: Duration = Duration::from_secs(1);

/// How often the server is asked for figures.
const OBSERVE: Duration = Duration::from_secs(5);

/// Two writers with one consumer leave it to each other for about this long, so that each reads on.
const TAKE_TURNS: Duration = Duration::from_secs(10);

/// Wakes the main thread.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

/// Everything one pipeline needs on the NATS side.
pub(crate) struct Session {
    pub(crate) number: usize,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) pipelines: usize,
    pub(crate) connector: Arc<Connector>,
    pub(crate) budget: PipelineBudget,
    pub(crate) progress: Arc<Progress>,
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) resume: mpsc::Sender<ResumeRequest>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) wake: Waker,
    /// The highest sequence that the session before this one has taken, while that fetched.
    pub(crate) taken: AtomicU64,
}

impl Session {
    /// Runs until told to stop.
    pub(crate) async fn run(mut self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            // A dropped sender means the same as a stop.
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.repeat() => {}
        }
        self.phase(PhaseKind::Stopped, "");
    }

    async fn repeat(&mut self) {
        let mut backoff = Backoff::new(self.settings.retry_min, self.settings.retry_max);
        let mut experience = CutHistory::default();
        loop {
            self.unless_waiting(PhaseKind::Connecting, "");
            let client = self.connector.connected().await;
            let started = Instant::now();
            let ended = tokio::select! {
                () = self.connector.state().disconnected() => Err(SessionError::Disconnected),
                ended = self.once(&client, &mut experience) => ended,
            };
            let error = match ended {
                Err(SessionError::Stopped) | Ok(()) => return,
                Err(error) => error,
            };
            if started.elapsed() >= STABLE {
                backoff.reset();
            }
            // A right that is missing shows as a request without an answer.
            let said = self.connector.state().error_since(started);
            if matches!(error, SessionError::Disconnected) {
                self.wait_after_cut(experience.cut()).await;
            } else {
                experience.ended();
                self.wait_after(&error, said, &mut backoff).await;
            }
        }
    }

    async fn wait_after(&self, error: &SessionError, said: Option<String>, backoff: &mut Backoff) {
        let delay = match error {
            SessionError::ConsumerTaken { .. } => Backoff::delay(TAKE_TURNS, TAKE_TURNS, 0),
            _ => backoff.next_delay(),
        };
        self.phase(
            PhaseKind::Waiting,
            format!(
                "{error}{}; next try in {}",
                said.map(|said| format!(" ({said})")).unwrap_or_default(),
                seconds(delay)
            ),
        );
        tokio::time::sleep(delay).await;
    }

    /// A connection that is there again at once is no change of state.
    async fn wait_after_cut(&self, cut: Cut) {
        let state = self.connector.state();
        if tokio::time::timeout(BRIEF, state.connected())
            .await
            .is_err()
        {
            self.phase(PhaseKind::Connecting, "");
        }
        if cut == Cut::Twice {
            tokio::time::sleep(BRIEF / 5).await;
        }
    }

    /// One session: from the stream's name to the first error.
    async fn once(&self, client: &Client, experience: &mut CutHistory) -> Result<(), SessionError> {
        let caution = experience.begin();
        let context = self.context(client);
        version::refuse_old(&client.server_info())?;
        let stream = self.find_stream(&context).await?;
        lookup::refuse_leaderless(stream.cached_info())?;
        let source = Arc::new(source_of(&stream));
        let (domain, at_once) = (
            self.settings.domain.as_deref(),
            fetch::at_once(self, client),
        );
        let store = StoredMessages::new(client, &source.stream, domain);
        let position = self.ask_position(&stream, &store, &source).await?;
        let mut positioned =
            ready::prepare(client, &stream, &self.pipeline, &self.settings, &position).await?;
        if caution == ReadMode::OneByOne {
            let from = (position, positioned);
            let careful = OneByOneReader::new(self, &source, &stream, &store, from);
            positioned = careful.run(client, at_once.messages).await?;
        }
        if positioned.consumer.cached_info().num_pending == 0 {
            self.phase(PhaseKind::Fetching, "");
        } else {
            // What went wrong before is over when a message comes.
            self.unless_waiting(PhaseKind::Fetching, "");
        }
        let (consumer, terms) = (positioned.consumer.clone(), positioned.terms.clone());
        let pull = Pull::begin(client, &consumer, domain, at_once).await?;
        let observed = stream.clone();
        let fetch = Fetch::new(self, source, stream, positioned, store);
        self.taken.store(0, Ordering::Relaxed);
        experience.fetching();
        tokio::select! {
            changed = self.observe(&observed, &consumer, &terms) => Err(changed),
            ended = fetch.run(pull) => ended,
        }
    }

    /// Keeps figures fresh that no message carries, until the consumer is not what it was, or the stream
    /// would drop what it is sent.
    async fn observe(
        &self,
        stream: &jetstream::stream::Stream,
        consumer: &Consumer<pull::Config>,
        terms: &ConsumerSpec,
    ) -> SessionError {
        loop {
            tokio::time::sleep(OBSERVE).await;
            // What cannot be asked now is asked again; the fetch itself notices a real fault.
            let Ok(info) = consumer.get_info().await else {
                continue;
            };
            let ack_pending = info.num_ack_pending as u64;
            self.progress
                .ack_pending
                .store(ack_pending, Ordering::Relaxed);
            if let Err(changed) = terms.check_unchanged(&info) {
                return changed;
            }
            if let Ok(now) = stream.get_info().await
                && let Err(danger) = spec::refuse_loss(&now.config, &info)
            {
                return danger;
            }
        }
    }

    fn context(&self, client: &Client) -> jetstream::Context {
        match &self.settings.domain {
            Some(domain) => jetstream::with_domain(client.clone(), domain),
            None => jetstream::new(client.clone()),
        }
    }

    async fn find_stream(
        &self,
        context: &jetstream::Context,
    ) -> Result<jetstream::stream::Stream, SessionError> {
        let name = match &self.pipeline.stream {
            Some(name) => name.clone(),
            None => self.stream_by_subject(context).await?,
        };
        context
            .get_stream(&name)
            .await
            .map_err(|error| match error.kind() {
                GetStreamErrorKind::JetStream(ref cause)
                    if cause.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND =>
                {
                    SessionError::StreamMissing { stream: name }
                }
                _ => error.into(),
            })
    }

    async fn stream_by_subject(
        &self,
        context: &jetstream::Context,
    ) -> Result<String, SessionError> {
        let subject = self.pipeline.subjects.first().cloned().unwrap_or_default();
        context
            .stream_by_subject(subject.clone())
            .await
            .map_err(|error| match error.kind() {
                GetStreamByNameErrorKind::NotFound => SessionError::NoStreamForSubject { subject },
                _ => error.into(),
            })
    }

    async fn ask_position(
        &self,
        stream: &jetstream::stream::Stream,
        store: &StoredMessages,
        source: &Source,
    ) -> Result<Sequences, SessionError> {
        self.unless_waiting(
            PhaseKind::Positioning,
            "waiting for the position in the database",
        );
        let state = stream.cached_info().state.clone();
        let (mut found, mut verified) = (None, None);
        loop {
            let (answer, answered) = oneshot::channel();
            let request = ResumeRequest {
                pipeline: self.number,
                source: source.clone(),
                first_sequence: state.first_sequence,
                last_sequence: state.last_sequence,
                found,
                verified,
                answer,
            };
            self.resume
                .send(request)
                .await
                .map_err(|_| SessionError::Stopped)?;
            (self.wake)();
            match answered.await.map_err(|_| SessionError::NoPosition)? {
                Answer::Position(position) => return Ok(position),
                Answer::LookUp(time) => found = Some(lookup::first_at(stream, store, time).await?),
                Answer::Verify(witness) => {
                    verified = Some((witness, lookup::verify(stream, store, witness).await?));
                }
            }
        }
    }

    /// A new try is no change of state: what is wrong stays shown until it is over, and a connection that
    /// was cut and is there again is nothing to be shown.
    fn unless_waiting(&self, kind: PhaseKind, detail: &str) {
        let shown = self.progress.phase().kind;
        if !matches!(shown, PhaseKind::Waiting | PhaseKind::Fetching) {
            self.phase(kind, detail);
        }
    }

    fn phase(&self, kind: PhaseKind, detail: impl Into<String>) {
        self.progress.set_phase(kind, detail);
        (self.wake)();
    }
}

fn source_of(stream: &jetstream::stream::Stream) -> Source {
    let info = stream.cached_info();
    Source {
        stream: info.config.name.clone(),
        created: Timestamp::from_unix_nanos(info.created.unix_timestamp_nanos())
            .unwrap_or_default(),
    }
}
