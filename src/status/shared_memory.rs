//! The shared memory that workers write and every database session can read. It contains only plain
//! values of fixed size. The lock is held only while they are copied or changed, and never during
//! other work.

use super::pipeline_status::PipelineStatus;
use super::worker_status::WorkerStatus;
use crate::config::{PIPELINES_MAX, WORKERS_MAX};
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};
use std::array;

// SAFETY: the name is this extension's own.
static STATUS: PgLwLock<SharedStatus> = unsafe { PgLwLock::new(c"sr_event_writer status") };

/// The status of all workers and pipelines of this server.
#[derive(Clone, Copy)]
pub struct SharedStatus {
    /// The workers, by number.
    pub workers: [WorkerStatus; WORKERS_MAX],
    /// The pipelines, in the order of `sr_event_writer.streams`.
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

/// Requests the shared memory.
pub(super) fn request() {
    pg_shmem_init!(STATUS);
}

/// Returns a copy of the whole status.
pub(super) fn snapshot() -> Box<SharedStatus> {
    Box::new(*STATUS.share())
}

/// Returns the result of `look` for the pipeline called `name`, without a copy of the whole status;
/// `None` if there is no such pipeline. The lock is held while `look` runs.
pub fn pipeline<T>(name: &str, look: impl FnOnce(&PipelineStatus) -> T) -> Option<T> {
    let status = STATUS.share();
    let mut pipelines = status.pipelines.iter();
    pipelines.find(|status| status.name.get() == name).map(look)
}

/// Returns the number of dead letters that all pipelines have written since the server started.
pub fn dead_letters() -> u64 {
    let status = STATUS.share();
    let counters = status.pipelines.iter().map(|status| &status.counters);
    counters.map(|counters| counters.dead_letters).sum()
}

/// Changes the status of worker number `worker`.
pub fn update_worker(worker: usize, change: impl FnOnce(&mut WorkerStatus)) {
    if let Some(status) = STATUS.exclusive().workers.get_mut(worker) {
        change(status);
    }
}

/// The place of a pipeline in shared memory: its number among all pipelines of all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub usize);

/// Changes the status of the pipeline in `slot`.
pub fn update_pipeline(slot: Slot, change: impl FnOnce(&mut PipelineStatus)) {
    if let Some(status) = STATUS.exclusive().pipelines.get_mut(slot.0) {
        change(status);
    }
}
