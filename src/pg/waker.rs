//! How another thread wakes the main thread: the only PostgreSQL function that is called off it.
//!
//! `SetLatch` is made to be called from signal handlers and other processes: it stores a flag,
//! issues a memory barrier, and signals the owner only if that sleeps. It allocates nothing, raises
//! nothing and reads no thread-local state, so a foreign thread may call it. pgrx's own binding
//! would refuse, rightly for anything else; hence the declaration here.

use pgrx::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C" {
    fn SetLatch(latch: *mut pg_sys::Latch);
}

/// The main thread's latch, for use by other threads.
struct MainLatch(*mut pg_sys::Latch);

// SAFETY: the latch lives in shared memory as long as the process, and SetLatch may be called from
// anywhere (see above).
unsafe impl Send for MainLatch {}
// SAFETY: as above.
unsafe impl Sync for MainLatch {}

/// Wakes the main thread, at most once until it has looked.
#[derive(Clone)]
pub struct Waker {
    latch: Arc<MainLatch>,
    asked: Arc<AtomicBool>,
}

impl Waker {
    /// For the process that calls it. Main thread only.
    pub fn of_this_process() -> Self {
        // SAFETY: MyLatch is set for the life of a process that is attached to shared memory.
        let latch = unsafe { pg_sys::MyLatch };
        Self {
            latch: Arc::new(MainLatch(latch)),
            asked: Arc::new(AtomicBool::new(false)),
        }
    }

    /// To be called when there is something to do, from any thread.
    pub fn wake(&self) {
        if !self.asked.swap(true, Ordering::AcqRel) {
            // SAFETY: see the module's notes.
            unsafe { SetLatch(self.latch.0) };
        }
    }

    /// To be called by the main thread before it looks what there is to do.
    pub fn looking(&self) {
        self.asked.store(false, Ordering::Release);
    }
}
