//! Shared memory that needs no lock: the process ids and heartbeats of the workers, and a counter
//! by which database sessions notify the workers that a control table has changed.

use crate::config::WORKERS_MAX;
use pgrx::{PGRXSharedMemory, PgAtomic, pg_shmem_init};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};

// SAFETY: the name is this extension's own.
static PROCESSES: PgAtomic<Processes> = unsafe { PgAtomic::new(c"sr_event_writer control") };

/// The processes of the workers.
#[derive(Default)]
pub struct Processes {
    /// Number of times that a database session has changed a control table.
    control_changes: AtomicU64,
    /// Process ids by number of the worker; 0 where no process runs.
    pids: [AtomicI32; WORKERS_MAX],
    /// Times of the last heartbeats by number of the worker, in microseconds since 2000-01-01.
    heartbeats: [AtomicI64; WORKERS_MAX],
}

// SAFETY: atomics of fixed size.
unsafe impl PGRXSharedMemory for Processes {}

/// Requests the shared memory.
pub(super) fn request() {
    pg_shmem_init!(PROCESSES);
}

/// Returns how often database sessions have changed a control table, which the workers then have to
/// read.
pub fn control_changes() -> u64 {
    PROCESSES.get().control_changes.load(Ordering::Acquire)
}

/// Counts one change of a control table. It does not wake the workers.
pub fn count_control_change() {
    let changes = &PROCESSES.get().control_changes;
    changes.fetch_add(1, Ordering::AcqRel);
}

/// Returns the process ids of all running workers.
pub fn pids() -> Vec<i32> {
    (0..WORKERS_MAX).filter_map(pid).collect()
}

/// Returns the process id of worker number `worker`, if it is running.
pub fn pid(worker: usize) -> Option<i32> {
    let place = PROCESSES.get().pids.get(worker)?;
    Some(place.load(Ordering::Acquire)).filter(|&pid| pid != 0)
}

/// Records the process id of worker number `worker`; 0 when the process ends.
pub fn set_pid(worker: usize, pid: i32) {
    if let Some(place) = PROCESSES.get().pids.get(worker) {
        place.store(pid, Ordering::Release);
    }
}

/// Returns where worker number `worker` writes its heartbeat, in microseconds since 2000-01-01.
pub fn heartbeat(worker: usize) -> Option<&'static AtomicI64> {
    PROCESSES.get().heartbeats.get(worker)
}
