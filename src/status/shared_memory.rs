//! The shared memory that workers write and every session may read. Plain values of fixed size
//! only; the lock is held for a copy, never for work.

use super::pipeline_status::PipelineStatus;
use super::worker_status::WorkerStatus;
use crate::config::{PIPELINES_MAX, WORKERS_MAX};
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};
use std::array;

// SAFETY: the name is this extension's own.
static STATUS: PgLwLock<SharedStatus> = unsafe { PgLwLock::new(c"sr_event_writer status") };

/// All workers and pipelines of this server.
#[derive(Clone, Copy)]
pub struct SharedStatus {
    /// By number of the worker.
    pub workers: [WorkerStatus; WORKERS_MAX],
    /// In the order of `sr_event_writer.streams`.
    pub pipelines: [PipelineStatus; PIPELINES_MAX],
}

// SAFETY: plain values of fixed size, without pointers or destructors.
unsafe impl PGRXSharedMemory for SharedStatus {}

impl Default for SharedStatus {
    fn default() -> Self {
        Self {
            workers: array::from_fn(|_| WorkerStatus::default()),
            pipelines: array::from_fn(|_| PipelineStatus::default()),
        }
    }
}

/// Asks for the shared memory.
pub(super) fn request() {
    pg_shmem_init!(STATUS);
}

/// Returns a copy of everything.
pub(super) fn snapshot() -> Box<SharedStatus> {
    Box::new(*STATUS.share())
}

/// Returns what `look` finds in the pipeline called `name`, without a copy of everything.
pub fn pipeline<T>(name: &str, look: impl FnOnce(&PipelineStatus) -> T) -> Option<T> {
    let status = STATUS.share();
    let mut pipelines = status.pipelines.iter();
    pipelines.find(|status| status.name.get() == name).map(look)
}

/// Returns how many dead letters all pipelines have written since the server started.
pub fn dead_letters() -> u64 {
    let status = STATUS.share();
    let counters = status.pipelines.iter().map(|status| &status.counters);
    counters.map(|counters| counters.dead_letters).sum()
}

/// Changes what is shown of worker number `worker`.
pub fn update_worker(worker: usize, change: impl FnOnce(&mut WorkerStatus)) {
    if let Some(status) = STATUS.exclusive().workers.get_mut(worker) {
        change(status);
    }
}

/// Place of a pipeline in shared memory: its number among all pipelines of all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub usize);

/// Changes what is shown of the pipeline in `slot`.
pub fn update_pipeline(slot: Slot, change: impl FnOnce(&mut PipelineStatus)) {
    if let Some(status) = STATUS.exclusive().pipelines.get_mut(slot.0) {
        change(status);
    }
}
