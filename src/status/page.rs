//! The page of shared memory that workers write and every session may read. Plain values of fixed
//! size only; the lock is held for a copy, never for work.

use super::latency::Latency;
use super::text::Text;
use crate::config::{PIPELINES_MAX, WORKERS_MAX};
use pgrx::{PGRXSharedMemory, PgAtomic, PgLwLock, pg_shmem_init};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};

/// What a worker, or a pipeline, is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `sr_event_writer.enabled` is off.
    Disabled,
    /// On its way to the first message.
    Starting,
    /// Working.
    Running,
    /// Working on the way back from a fault.
    Degraded,
    /// Stopped on request, or because the destination does not fit.
    Paused,
    /// No worker is there.
    Stopped,
    /// The settings contradict each other.
    Misconfigured,
    /// This server is a standby; only the primary consumes.
    Standby,
    /// The worker is there, and shows no sign of life. Only readers can say that.
    Unresponsive,
}

impl State {
    /// The word that status functions show.
    pub fn word(self) -> &'static str {
        match self {
            State::Disabled => "disabled",
            State::Starting => "starting",
            State::Running => "running",
            State::Degraded => "degraded",
            State::Paused => "paused",
            State::Stopped => "stopped",
            State::Misconfigured => "misconfigured",
            State::Standby => "standby",
            State::Unresponsive => "unresponsive",
        }
    }
}

/// One worker. Times are microseconds since 2000-01-01; 0 stands for "never".
#[derive(Clone, Copy)]
pub struct WorkerPage {
    pub state: State,
    pub reason: Text<400>,
    pub since: i64,
    pub nats: Text<16>,
    pub server: Text<120>,
    pub reconnects: u64,
    pub nats_error: Text<300>,
    pub breaker: Text<16>,
    pub breaker_failures: u32,
    pub memory: u64,
    pub letters: Letters,
}

/// Dead letters, where their size has a limit. The first worker sees to them.
#[derive(Clone, Copy)]
pub struct Letters {
    /// Bytes that they took when that was looked at.
    pub bytes: u64,
    /// How many were removed for want of room.
    pub removed: u64,
}

/// One pipeline.
#[derive(Clone, Copy)]
pub struct StreamPage {
    pub name: Text<48>,
    pub processor: Text<32>,
    pub table: Text<140>,
    pub nats_stream: Text<256>,
    pub consumer: Text<100>,
    pub state: State,
    pub detail: Text<400>,
    /// Creation time of `nats_stream`, once this server's worker knows it: only then `floor` and
    /// `last_sequence` say something.
    pub stream_created: i64,
    /// All stream sequences up to this one are committed.
    pub floor: u64,
    pub last_sequence: u64,
    pub pending: u64,
    pub ack_pending: u64,
    /// Publish time of the newest message that is a row.
    pub last_published: i64,
    pub counters: Counters,
    pub latency: Latency,
    pub last_commit_at: i64,
    pub last_error: Text<400>,
    pub last_error_at: i64,
}

/// What a pipeline has done since the server started.
#[derive(Clone, Copy, Default)]
pub struct Counters {
    pub messages: u64,
    pub rows: u64,
    pub bytes: u64,
    pub batches: u64,
    pub redelivered: u64,
    pub duplicates_skipped: u64,
    pub dead_letters: u64,
    pub retries: u64,
}

/// Everything.
#[derive(Clone, Copy)]
pub struct Page {
    pub workers: [WorkerPage; WORKERS_MAX],
    pub streams: [StreamPage; PIPELINES_MAX],
}

// SAFETY: plain values of fixed size, without pointers or destructors.
unsafe impl PGRXSharedMemory for Page {}

impl Page {
    const EMPTY: Self = Self {
        workers: [WorkerPage {
            state: State::Stopped,
            reason: Text::EMPTY,
            since: 0,
            nats: Text::EMPTY,
            server: Text::EMPTY,
            reconnects: 0,
            nats_error: Text::EMPTY,
            breaker: Text::EMPTY,
            breaker_failures: 0,
            memory: 0,
            letters: Letters {
                bytes: 0,
                removed: 0,
            },
        }; WORKERS_MAX],
        streams: [StreamPage {
            name: Text::EMPTY,
            processor: Text::EMPTY,
            table: Text::EMPTY,
            nats_stream: Text::EMPTY,
            consumer: Text::EMPTY,
            state: State::Stopped,
            detail: Text::EMPTY,
            stream_created: 0,
            floor: 0,
            last_sequence: 0,
            pending: 0,
            ack_pending: 0,
            last_published: 0,
            counters: Counters {
                messages: 0,
                rows: 0,
                bytes: 0,
                batches: 0,
                redelivered: 0,
                duplicates_skipped: 0,
                dead_letters: 0,
                retries: 0,
            },
            latency: Latency::EMPTY,
            last_commit_at: 0,
            last_error: Text::EMPTY,
            last_error_at: 0,
        }; PIPELINES_MAX],
    };
}

// SAFETY: the names are this extension's own.
static PAGE: PgLwLock<Page> = unsafe { PgLwLock::new(c"sr_event_writer status") };
// SAFETY: as above.
static CONTROL: PgAtomic<Control> = unsafe { PgAtomic::new(c"sr_event_writer control") };

/// What goes without the page's lock: what sessions tell the workers, that something in the control
/// tables has changed, and the workers' signs of life.
#[derive(Default)]
pub struct Control {
    generation: AtomicU64,
    pids: [AtomicI32; WORKERS_MAX],
    /// Microseconds since 2000-01-01.
    heartbeats: [AtomicI64; WORKERS_MAX],
}

// SAFETY: atomics of fixed size.
unsafe impl PGRXSharedMemory for Control {}

/// Asks for the shared memory. To be called once, from `_PG_init` under
/// `shared_preload_libraries`.
pub fn request() {
    pg_shmem_init!(PAGE = Page::EMPTY);
    pg_shmem_init!(CONTROL);
}

/// A copy of the page.
pub fn snapshot() -> Box<Page> {
    Box::new(*PAGE.share())
}

/// What `look` finds in the part of the pipeline called `name`, without a copy of the page.
pub fn stream<T>(name: &str, look: impl FnOnce(&StreamPage) -> T) -> Option<T> {
    let page = PAGE.share();
    let stream = page
        .streams
        .iter()
        .find(|stream| stream.name.get() == name)?;
    Some(look(stream))
}

/// Dead letters that all pipelines have written.
pub fn dead_letters() -> u64 {
    let page = PAGE.share();
    let counters = page.streams.iter().map(|stream| &stream.counters);
    counters.map(|counters| counters.dead_letters).sum()
}

/// Changes one worker's part of the page.
pub fn update_worker(worker: usize, change: impl FnOnce(&mut WorkerPage)) {
    if let Some(page) = PAGE.exclusive().workers.get_mut(worker) {
        change(page);
    }
}

/// Place of a pipeline in the page: its number among all pipelines of all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub usize);

/// Changes one pipeline's part of the page.
pub fn update_stream(slot: Slot, change: impl FnOnce(&mut StreamPage)) {
    if let Some(page) = PAGE.exclusive().streams.get_mut(slot.0) {
        change(page);
    }
}

/// Number that grows whenever a session has changed what the workers must read.
pub fn generation() -> u64 {
    CONTROL.get().generation.load(Ordering::Acquire)
}

/// Says that something has changed, and gives the process ids of the workers to wake.
pub fn announce() -> Vec<i32> {
    CONTROL.get().generation.fetch_add(1, Ordering::AcqRel);
    pids()
}

/// Process ids of the workers.
pub fn pids() -> Vec<i32> {
    let pids = CONTROL.get().pids.iter();
    let pids = pids.map(|pid| pid.load(Ordering::Acquire));
    pids.filter(|&pid| pid != 0).collect()
}

/// Registers the process of worker number `worker`; 0 when it ends.
pub fn set_pid(worker: usize, pid: i32) {
    if let Some(slot) = CONTROL.get().pids.get(worker) {
        slot.store(pid, Ordering::Release);
    }
}

/// Where worker number `worker` says when it was last seen to work.
pub fn heartbeat(worker: usize) -> Option<&'static AtomicI64> {
    CONTROL.get().heartbeats.get(worker)
}

/// Process of worker number `worker`, if it runs.
pub fn pid(worker: usize) -> Option<i32> {
    CONTROL
        .get()
        .pids
        .get(worker)
        .map(|pid| pid.load(Ordering::Acquire))
        .filter(|&pid| pid != 0)
}
