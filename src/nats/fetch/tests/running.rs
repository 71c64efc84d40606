//! Runs a fetch between a scripted pull and a scripted server.

use super::super::server::{ConsumerCounts, Server};
use super::super::*;
use crate::budget::Budget;
use crate::resume::MessageIdentity;
use crate::settings::{Authentication, PipelineSettings, Settings, Tls};
use crate::state::{PhaseKind, PipelineState};
use crate::testing;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Sequence behind which the consumer stands when a fetch begins.
pub(super) const POSITION: u64 = 10;

/// Source of the messages that a test delivers.
struct Script {
    messages: mpsc::Receiver<async_nats::Message>,
    missed_heartbeat: Arc<AtomicBool>,
}

impl Messages for Script {
    async fn next(&mut self) -> Result<async_nats::Message, SessionError> {
        let next = self.messages.recv().await;
        next.ok_or(SessionError::Disconnected)
    }

    fn has_missed_heartbeat(&self) -> bool {
        self.missed_heartbeat.load(Ordering::Relaxed)
    }
}

/// The answers of the scripted server, and the times at which the consumer was requested.
pub(super) struct Answers {
    pub(super) last_sequence: u64,
    pub(super) counts: ConsumerCounts,
    /// Answer for every range: it holds no message of the pipeline.
    pub(super) is_empty: bool,
    pub(super) confirmed: Vec<Instant>,
}

#[derive(Clone)]
struct ScriptedServer(Arc<Mutex<Answers>>);

impl Server for ScriptedServer {
    async fn last_sequence(&self) -> Result<u64, SessionError> {
        Ok(self.0.lock().last_sequence)
    }

    async fn consumer(&self) -> Result<ConsumerCounts, SessionError> {
        let mut answers = self.0.lock();
        answers.confirmed.push(Instant::now());
        Ok(answers.counts)
    }

    async fn is_empty(&self, _: u64, _: u64) -> bool {
        self.0.lock().is_empty
    }

    async fn identity(&self, _: u64) -> Result<Option<MessageIdentity>, SessionError> {
        Ok(None)
    }

    async fn headers(&self, _: u64) -> Result<Option<Bytes>, SessionError> {
        Ok(None)
    }
}

/// A running fetch, from the view of the server and the main thread.
pub(super) struct Running {
    pub(super) messages: mpsc::Sender<async_nats::Message>,
    pub(super) missed_heartbeat: Arc<AtomicBool>,
    pub(super) server: Arc<Mutex<Answers>>,
    pub(super) batches: mpsc::Receiver<Batch>,
    pub(super) state: Arc<PipelineState>,
    pub(super) ended: JoinHandle<Result<Infallible, SessionError>>,
}

pub(super) fn settings() -> Settings {
    Settings {
        authentication: Authentication::None,
        tls: Tls::default(),
        inbox_prefix: "_INBOX".to_owned(),
        servers: Vec::new(),
        domain: None,
        consumer_prefix: "test".to_owned(),
        retry_min: Duration::from_secs(1),
        retry_max: Duration::from_secs(1),
        buffer_bytes: 1 << 20,
        ack_wait: Duration::from_secs(60),
    }
}

/// Returns the settings of a pipeline in which each message makes a batch.
pub(super) fn pipeline() -> PipelineSettings {
    testing::pipeline(1, 10_000)
}

impl Running {
    pub(super) fn start() -> Self {
        Self::start_with(pipeline(), settings().buffer_bytes)
    }

    pub(super) fn start_with(pipeline: PipelineSettings, buffer_bytes: usize) -> Self {
        let (messages, script) = mpsc::channel(1_000);
        let (sender, batches) = mpsc::channel(1);
        let missed_heartbeat = Arc::new(AtomicBool::new(false));
        let server = Arc::new(Mutex::new(Answers {
            last_sequence: POSITION,
            counts: ConsumerCounts::default(),
            is_empty: true,
            confirmed: Vec::new(),
        }));
        let state = Arc::new(PipelineState::default());
        state.set_phase(PhaseKind::Fetching, "");
        let context = Context {
            settings: Arc::new(settings()),
            pipeline: Arc::new(pipeline),
            budget: Budget::new(buffer_bytes, 1).of_next_pipeline(),
            state: state.clone(),
            batches: sender,
            wake: Arc::new(|| {}),
            last_fetched: AtomicU64::default(),
        };
        let script = Script {
            messages: script,
            missed_heartbeat: missed_heartbeat.clone(),
        };
        let scripted = ScriptedServer(server.clone());
        let ended = tokio::spawn(async move {
            let stream_id = Arc::new(testing::stream_id());
            let format = &context.pipeline.format;
            let state = context.state.clone();
            let batch = Batch::new(stream_id, AckMode::None, true, format, state);
            let fetch = Fetch::new(&context, scripted, batch, POSITION);
            fetch.run(script).await
        });
        Self {
            messages,
            missed_heartbeat,
            server,
            batches,
            state,
            ended,
        }
    }

    /// Delivers the message with this sequence as delivery number `number`.
    pub(super) fn deliver(&self, number: u64, sequence: u64) {
        let reply = format!("$JS.ACK.S.C.1.{sequence}.{number}.1767026614123456789.0");
        let message = async_nats::Message {
            subject: "telemetry.a".into(),
            reply: Some(reply.into()),
            payload: Bytes::from_static(b"{}"),
            headers: None,
            status: None,
            description: None,
            length: 2,
        };
        self.messages.try_send(message).unwrap();
    }

    /// Waits for the next batch, and returns its sequences.
    pub(super) async fn batch(&mut self) -> Vec<u64> {
        let batch = self.batches.recv().await.unwrap();
        batch.messages.iter().map(|m| m.sequence).collect()
    }

    pub(super) async fn error(self) -> SessionError {
        self.ended.await.unwrap().unwrap_err()
    }

    pub(super) fn phase(&self) -> PhaseKind {
        self.state.phase().kind
    }
}
