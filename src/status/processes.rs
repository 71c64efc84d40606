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
    /// Incremented whenever a database session has changed what the workers must read.
    generation: AtomicU64,
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

/// Returns a number that grows whenever a database session has changed what the workers must read.
pub fn generation() -> u64 {
    PROCESSES.get().generation.load(Ordering::Acquire)
}

/// Records that something has changed, and returns the process ids of the workers to wake.
pub fn announce() -> Vec<i32> {
    PROCESSES.get().generation.fetch_add(1, Ordering::AcqRel);
    pids()
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
