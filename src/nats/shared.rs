//! The resources that all subscriptions of a worker share.

use crate::connection::Connector;
use crate::context::WakeMainThread;
use crate::settings::Settings;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Handle;

/// The resources that all subscriptions share.
pub(crate) struct Shared {
    pub(crate) runtime: Handle,
    pub(crate) settings: Arc<Settings>,
    /// Number of pipelines that share the connection and the memory.
    pub(crate) pipelines: usize,
    pub(crate) connector: Arc<Connector>,
    pub(crate) wake: WakeMainThread,
    panicked: Arc<AtomicBool>,
}

impl Shared {
    /// Joins what was started for all subscriptions.
    pub(crate) fn new(
        runtime: Handle,
        settings: Settings,
        pipelines: usize,
        connector: Arc<Connector>,
        wake: WakeMainThread,
    ) -> Self {
        Self {
            runtime,
            settings: Arc::new(settings),
            pipelines,
            connector,
            wake,
            panicked: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Returns whether a task has panicked.
    pub(crate) fn panicked(&self) -> bool {
        self.panicked.load(Ordering::Acquire)
    }

    /// Spawns a task. If it panics, records that and wakes the main thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (panicked, wake) = (self.panicked.clone(), self.wake.clone());
        self.runtime.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                panicked.store(true, Ordering::Release);
                wake();
            }
        });
    }
}
