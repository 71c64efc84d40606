//! The NATS side of one worker, as the main thread owns it: the NATS thread, the connection, the
//! byte budget, and the queues of acknowledgements and dead letters to send. Nothing that the main
//! thread calls here blocks, except [`Nats::shut_down`].

use crate::budget::Budget;
use crate::connection::Connector;
use crate::connection::state::Connection;
use crate::publish::ack::{self, Receipt};
use crate::publish::dead_letter::{self, DeadLetterMessage, DeadLetterQueue};
use crate::settings::{PipelineSettings, Settings};
use crate::shared::Shared;
use crate::subscription::Subscription;
use crate::threads;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Lists of acknowledgements that may wait to be sent; each commit gives one list.
const ACK_LISTS_WAITING: usize = 256;

/// The NATS side of one worker: starts it, sends through it, shuts it down.
pub struct Nats {
    runtime: Runtime,
    shared: Arc<Shared>,
    budget: Budget,
    acks: mpsc::Sender<Vec<Receipt>>,
    dead_letters: DeadLetterQueue,
}

impl Nats {
    /// Starts the NATS thread and the connection for this number of pipelines. Call
    /// [`Nats::subscribe`] for each of them afterwards.
    ///
    /// `wake` is called from other threads whenever there is something for the main thread to do.
    ///
    /// # Errors
    /// When the operating system refuses to create a thread.
    pub fn start(
        settings: Settings,
        pipelines: usize,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let runtime = threads::start()?;
        let connector = Arc::new(Connector::new(Arc::new(Connection::default())));
        let (acks, ready) = mpsc::channel(ACK_LISTS_WAITING);
        let (dead_letters, queued) = DeadLetterQueue::new(settings.buffer_bytes);
        let budget = Budget::new(settings.buffer_bytes, pipelines);
        let shared = Arc::new(Shared::new(
            runtime.handle().clone(),
            settings,
            pipelines,
            connector.clone(),
            Arc::new(wake),
        ));
        shared.spawn(ack::run(ready, connector.clone()));
        shared.spawn(dead_letter::run(queued, connector.clone()));
        let settings = shared.settings.clone();
        shared.spawn(async move { match connector.keep_connected(&settings).await {} });
        Ok(Self {
            runtime,
            shared,
            budget,
            acks,
            dead_letters,
        })
    }

    /// Adds a pipeline. It begins to fetch when [`Subscription::start`] is called.
    pub fn subscribe(&mut self, pipeline: PipelineSettings) -> Subscription {
        let budget = self.budget.of_next_pipeline();
        Subscription::stopped(self.shared.clone(), pipeline, budget)
    }

    /// Queues acknowledgements of durable messages.
    ///
    /// # Errors
    /// When the queue is full: returns the list, so that the caller can try again.
    pub fn acknowledge(&self, receipts: Vec<Receipt>) -> Result<(), Vec<Receipt>> {
        self.acks.try_send(receipts).map_err(|error| match error {
            mpsc::error::TrySendError::Full(receipts)
            | mpsc::error::TrySendError::Closed(receipts) => receipts,
        })
    }

    /// Queues a dead letter to be published on `subject`. It is dropped if too many are waiting,
    /// which is no loss because the dead letter is in the table.
    pub fn publish_dead_letter(&self, subject: String, message: DeadLetterMessage) {
        self.dead_letters.push(subject, message);
    }

    /// Returns the state of the connection.
    pub fn connection(&self) -> &Connection {
        self.shared.connector.state()
    }

    /// Returns the bytes of the budget that are reserved for messages in memory.
    pub fn memory_in_use(&self) -> usize {
        self.budget.used()
    }

    /// Returns whether a task on the NATS side has panicked. The worker then has to restart.
    pub fn panicked(&self) -> bool {
        self.shared.panicked()
    }

    /// Makes a task panic on a thread of the runtime.
    #[cfg(feature = "faults")]
    #[allow(clippy::panic, reason = "this is what it is for")]
    pub fn panic_on_a_thread(&self) {
        self.shared.spawn(async { panic!("a test asked for it") });
    }

    /// Stops all threads, and waits no longer than `timeout` for them. Stop all subscriptions
    /// before.
    pub fn shut_down(self, timeout: Duration) {
        self.runtime.shutdown_timeout(timeout);
    }
}
