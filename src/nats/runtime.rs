//! Tasks and channels of the NATS side, behind one handle that the main thread owns. Everything
//! the main thread calls here returns at once.

use crate::batch::Batch;
use crate::budget::Budget;
use crate::connection::Connector;
use crate::context::{Context, Waker};
use crate::publish::ack::{self, Receipt};
use crate::publish::dead_letter::{self, DeadLetterMessage, DeadLetterQueue};
use crate::resume::PositionRequest;
use crate::session::Session;
use crate::settings::{Pipeline, Settings};
use crate::state::{Connection, Progress};
use crate::threads;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// Batches of one pipeline that may wait for the main thread. The next one grows meanwhile, so this
/// is enough for it never to be idle. What is fetched further ahead than that makes NATS keep a
/// longer record of what is on its way, and falls out of the caches before it is written.
const BATCHES_WAITING: usize = 1;
/// Lists of acknowledgements, one for each commit, that may wait to be sent.
const ACK_LISTS_WAITING: usize = 256;

/// The NATS side of one worker.
pub struct Handle {
    runtime: Option<Runtime>,
    connector: Arc<Connector>,
    connection: Arc<Connection>,
    budget: Budget,
    settings: Arc<Settings>,
    subscriptions: Vec<Subscription>,
    positions: mpsc::Receiver<PositionRequest>,
    position_sender: mpsc::Sender<PositionRequest>,
    acks: mpsc::Sender<Vec<Receipt>>,
    dead_letters: DeadLetterQueue,
    panicked: Arc<AtomicBool>,
    wake: Waker,
}

/// One pipeline as the main thread sees it.
struct Subscription {
    pipeline: Arc<Pipeline>,
    progress: Arc<Progress>,
    batches: mpsc::Receiver<Batch>,
    stop: watch::Sender<bool>,
}

impl Handle {
    /// Starts the thread and the connection, and nothing else: pipelines start with
    /// [`Handle::start`].
    ///
    /// `wake` is called from other threads whenever there is something for the main thread.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn new(
        settings: Settings,
        pipelines: Vec<Pipeline>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let connection = Arc::new(Connection::default());
        let connector = Arc::new(Connector::new(connection.clone()));
        let (position_sender, positions) = mpsc::channel(pipelines.len().max(1));
        let (acks, ready) = mpsc::channel(ACK_LISTS_WAITING);
        let (dead_letters, queued) = DeadLetterQueue::new(settings.buffer_bytes);
        let handle = Self {
            runtime: Some(threads::start()?),
            connector: connector.clone(),
            connection,
            budget: Budget::new(settings.buffer_bytes, pipelines.len()),
            settings: Arc::new(settings),
            subscriptions: pipelines.into_iter().map(Subscription::stopped).collect(),
            positions,
            position_sender,
            acks,
            dead_letters,
            panicked: Arc::new(AtomicBool::new(false)),
            wake: Arc::new(wake),
        };
        handle.spawn(ack::run(ready, connector.clone()));
        handle.spawn(dead_letter::run(queued, connector.clone()));
        let (settings, state) = (handle.settings.clone(), handle.connection.clone());
        handle.spawn(async move {
            if let Err(error) = connector.open(&settings).await {
                state.set_error(error.to_string());
            }
        });
        Ok(handle)
    }

    /// Starts pipeline number `number`, or starts it over.
    pub fn start(&mut self, number: usize) {
        let pipelines = self.subscriptions.len();
        let Some(subscription) = self.subscriptions.get_mut(number) else {
            return;
        };
        subscription.stop.send_replace(true);
        let (stop, stopped) = watch::channel(false);
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        subscription.stop = stop;
        subscription.batches = batches;
        let context = Context {
            settings: self.settings.clone(),
            pipeline: subscription.pipeline.clone(),
            budget: self.budget.of_pipeline(number),
            progress: subscription.progress.clone(),
            batches: sender,
            wake: self.wake.clone(),
            last_fetched: AtomicU64::default(),
        };
        let session = Session {
            number,
            pipelines,
            context,
            connector: self.connector.clone(),
            position: self.position_sender.clone(),
            stop: stopped,
        };
        self.spawn(session.run());
    }

    /// Stops pipeline number `number` and drops what it has fetched; the server keeps it.
    pub fn stop(&mut self, number: usize) {
        let Some(subscription) = self.subscriptions.get_mut(number) else {
            return;
        };
        subscription.stop.send_replace(true);
        subscription.batches = mpsc::channel(1).1;
    }

    /// Returns the next batch of a pipeline, if one is ready.
    pub fn try_batch(&mut self, number: usize) -> Option<Batch> {
        self.subscriptions.get_mut(number)?.batches.try_recv().ok()
    }

    /// Counts the batches of a pipeline that are ready.
    pub fn ready(&self, number: usize) -> usize {
        self.subscriptions
            .get(number)
            .map_or(0, |subscription| subscription.batches.len())
    }

    /// Drops a batch on the thread that made it, which spares the main thread thousands of calls,
    /// and the memory then serves the next batch.
    pub fn discard(&self, batch: Batch) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move { drop(batch) });
        }
    }

    /// Returns the question of the next pipeline that asks where it stands.
    pub fn try_resume(&mut self) -> Option<PositionRequest> {
        self.positions.try_recv().ok()
    }

    /// Queues acknowledgements of what is durable.
    ///
    /// # Errors
    /// Gives the list back when the queue is full, to be tried again.
    pub fn acknowledge(&self, receipts: Vec<Receipt>) -> Result<(), Vec<Receipt>> {
        self.acks.try_send(receipts).map_err(|error| match error {
            mpsc::error::TrySendError::Full(receipts)
            | mpsc::error::TrySendError::Closed(receipts) => receipts,
        })
    }

    /// Publishes a dead letter to `subject`. Left out when too many wait: the table has it.
    pub fn notify(&self, subject: String, message: DeadLetterMessage) {
        self.dead_letters.push(subject, message);
    }

    /// Returns the state of the connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the settings of a pipeline.
    pub fn pipeline(&self, number: usize) -> Option<&Arc<Pipeline>> {
        self.subscriptions
            .get(number)
            .map(|subscription| &subscription.pipeline)
    }

    /// Returns what a pipeline is doing.
    pub fn progress(&self, number: usize) -> Option<&Progress> {
        self.subscriptions
            .get(number)
            .map(|subscription| subscription.progress.as_ref())
    }

    /// Returns the bytes of messages in memory.
    pub fn memory_in_use(&self) -> usize {
        self.budget.used()
    }

    /// Returns the bytes of memory that each pipeline has for itself.
    pub fn memory_of_each(&self) -> usize {
        self.budget.own_bytes()
    }

    /// Returns whether a task of the NATS side has panicked. The worker then has to start over.
    pub fn panicked(&self) -> bool {
        self.panicked.load(Ordering::Acquire)
    }

    /// Lets a task panic on a thread of the runtime.
    #[cfg(feature = "faults")]
    #[allow(clippy::panic, reason = "this is what it is for")]
    pub fn panic_on_a_thread(&self) {
        self.spawn(async { panic!("a test asked for it") });
    }

    /// Ends all threads; waits for them no longer than `timeout`.
    pub fn shut_down(&mut self, timeout: Duration) {
        for subscription in &self.subscriptions {
            subscription.stop.send_replace(true);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(timeout);
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (panicked, wake) = (self.panicked.clone(), self.wake.clone());
        let Some(runtime) = &self.runtime else { return };
        runtime.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                panicked.store(true, Ordering::Release);
                wake();
            }
        });
    }
}

impl Subscription {
    fn stopped(pipeline: Pipeline) -> Self {
        Self {
            pipeline: Arc::new(pipeline),
            progress: Arc::new(Progress::default()),
            batches: mpsc::channel(1).1,
            stop: watch::channel(true).0,
        }
    }
}
