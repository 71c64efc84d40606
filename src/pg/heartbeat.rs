//! The worker's heartbeat in shared memory: written by each iteration of the main loop and, while a
//! transaction runs, by a timer of PostgreSQL. So a worker with a long statement shows as alive,
//! and a stopped process does not.

use super::clock::now;
use super::signals;
use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// `USER_TIMEOUT` of `utils/timeout.h`, the same in PostgreSQL 17 and 18.
const USER_TIMEOUT: c_int = 13;

/// Milliseconds between two heartbeats of the timer.
const PERIOD_MS: c_int = 1_000;

/// From 1970-01-01 to 2000-01-01, where PostgreSQL's timestamps begin.
const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);

// Not in pgrx's bindings. Both only touch the timer of this process.
unsafe extern "C-unwind" {
    fn RegisterTimeout(id: c_int, handler: unsafe extern "C-unwind" fn()) -> c_int;
    fn enable_timeout_every(id: c_int, first: i64, delay_ms: c_int);
}

/// Periods for which a transaction may go on after its timeout before the process ends. A trigger
/// can catch the cancel and run for ever, and then no other pipeline of this worker would be
/// written.
const GRACE_PERIODS: u32 = 10;

/// Where the heartbeat is written, in microseconds since 2000-01-01.
static HEARTBEAT: OnceLock<&AtomicI64> = OnceLock::new();

/// When the running transaction times out, in microseconds since 2000-01-01. Until then the timer
/// writes the heartbeat. 0 while no transaction runs.
static TIMES_OUT_AT: AtomicI64 = AtomicI64::new(0);

/// Periods since that moment. They are counted, because a stopped process or a clock that jumps
/// would make any difference of times wrong.
static OVERDUE_PERIODS: AtomicU32 = AtomicU32::new(0);

/// Starts the heartbeat at `heartbeat`, a place in shared memory that takes microseconds since
/// 2000-01-01. Call it once, on the main thread.
pub fn start(heartbeat: &'static AtomicI64) {
    HEARTBEAT.get_or_init(|| heartbeat);
    beat();
    // SAFETY: main thread of a process whose timers are set up; the handler is safe in a signal.
    unsafe {
        let id = RegisterTimeout(USER_TIMEOUT, tick);
        enable_timeout_every(id, now() + i64::from(PERIOD_MS) * 1_000, PERIOD_MS);
    }
}

/// Writes a heartbeat.
pub fn beat() {
    if let Some(heartbeat) = HEARTBEAT.get() {
        heartbeat.store(now(), Ordering::Relaxed);
    }
}

/// Runs in a signal handler: reads a clock and atomics, and nothing else.
unsafe extern "C-unwind" fn tick() {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since_2000 = since_1970
        .unwrap_or_default()
        .saturating_sub(POSTGRES_EPOCH);
    let now = i64::try_from(since_2000.as_micros()).unwrap_or(i64::MAX);
    let until = TIMES_OUT_AT.load(Ordering::Relaxed);
    if let Some(heartbeat) = HEARTBEAT.get()
        && now < until
    {
        heartbeat.store(now, Ordering::Relaxed);
    }
    if until != 0
        && now >= until
        && OVERDUE_PERIODS.fetch_add(1, Ordering::Relaxed) >= GRACE_PERIODS
    {
        signals::request_exit();
    }
}

/// A running transaction, for whose timeout the timer writes the heartbeat. Ends when dropped.
pub struct TransactionHeartbeat(());

impl TransactionHeartbeat {
    /// Starts now, for a transaction with this timeout.
    pub fn start(timeout: Duration) -> Self {
        let timeout = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
        OVERDUE_PERIODS.store(0, Ordering::Relaxed);
        TIMES_OUT_AT.store(now().saturating_add(timeout), Ordering::Relaxed);
        Self(())
    }
}

impl Drop for TransactionHeartbeat {
    fn drop(&mut self) {
        TIMES_OUT_AT.store(0, Ordering::Relaxed);
        beat();
    }
}
