//! A sign of life in shared memory: from each turn of the main loop and, while a transaction runs,
//! from a timer of PostgreSQL. So a long statement is alive, and a process that is stopped is not.

use super::clock::now;
use super::signals;
use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// `USER_TIMEOUT` of `utils/timeout.h`, the same in PostgreSQL 17 and 18.
const USER_TIMEOUT: c_int = 13;

/// Between two signs of life.
const PERIOD_MS: c_int = 1_000;

/// From 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH: Duration = Duration::from_secs(946_684_800);

// Not in pgrx's bindings. Both only touch the timer of this process.
unsafe extern "C-unwind" {
    fn RegisterTimeout(id: c_int, handler: unsafe extern "C-unwind" fn()) -> c_int;
    fn enable_timeout_every(id: c_int, first: i64, delay_ms: c_int);
}

/// For so many periods a transaction whose time is up may go on, and then the process ends. A
/// trigger can catch the cancel and go on for ever: no other pipeline of this worker would be
/// written any more.
const GRACE: u32 = 10;

/// Where this process shows its sign of life.
static PLACE: OnceLock<&AtomicI64> = OnceLock::new();

/// Until when the timer speaks for the transaction that runs, in microseconds since 2000-01-01; 0
/// while none does, for then the loop speaks for itself.
static UNTIL: AtomicI64 = AtomicI64::new(0);

/// Periods since then. Counted, since a process that is stopped or a clock that jumps is not late.
static LATE: AtomicU32 = AtomicU32::new(0);

/// Begins with the signs of life, in microseconds since 2000-01-01 at `place`, which is in shared
/// memory. To be called once, on the main thread.
pub fn start(place: &'static AtomicI64) {
    PLACE.get_or_init(|| place);
    beat();
    // SAFETY: main thread of a process whose timers are set up; the handler is safe in a signal.
    unsafe {
        let id = RegisterTimeout(USER_TIMEOUT, tick);
        enable_timeout_every(id, now() + i64::from(PERIOD_MS) * 1_000, PERIOD_MS);
    }
}

/// The loop has come round.
pub fn beat() {
    if let Some(place) = PLACE.get() {
        place.store(now(), Ordering::Relaxed);
    }
}

/// Runs in a signal handler: reads a clock and atomics, and nothing else.
unsafe extern "C-unwind" fn tick() {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since_2000 = since_1970.unwrap_or_default().saturating_sub(EPOCH);
    let now = i64::try_from(since_2000.as_micros()).unwrap_or(i64::MAX);
    let until = UNTIL.load(Ordering::Relaxed);
    if let Some(place) = PLACE.get()
        && now < until
    {
        place.store(now, Ordering::Relaxed);
    }
    if until != 0 && now >= until && LATE.fetch_add(1, Ordering::Relaxed) >= GRACE {
        signals::end();
    }
}

/// The time that a transaction may take: so long the timer speaks for it. Ends when dropped.
pub struct Busy(());

impl Busy {
    /// From now on, for `limit`.
    pub fn start(limit: Duration) -> Self {
        let limit = i64::try_from(limit.as_micros()).unwrap_or(i64::MAX);
        LATE.store(0, Ordering::Relaxed);
        UNTIL.store(now().saturating_add(limit), Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        UNTIL.store(0, Ordering::Relaxed);
        beat();
    }
}
