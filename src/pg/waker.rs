//! Wakes the main thread from another thread, with the only PostgreSQL function called off the main
//! thread.
//!
//! `SetLatch` is designed to be called from signal handlers and other processes: it sets a flag,
//! issues a memory barrier, and signals the owner only if that sleeps. It allocates nothing, raises
//! no error and reads no thread-local state, so another thread may call it. pgrx's own binding
//! refuses calls off the main thread, which is right for any other function; hence the declaration
//! here.

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

/// Wakes the main thread, and signals it no more than once before it has checked for work.
#[derive(Clone)]
pub struct Waker {
    latch: Arc<MainLatch>,
    asked: Arc<AtomicBool>,
}

impl Waker {
    /// Returns the waker of the calling process. Main thread only.
    pub fn of_this_process() -> Self {
        // SAFETY: MyLatch is set for the life of a process that is attached to shared memory.
        let latch = unsafe { pg_sys::MyLatch };
        Self {
            latch: Arc::new(MainLatch(latch)),
            asked: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Wakes the main thread. Any thread may call this.
    pub fn wake(&self) {
        if !self.asked.swap(true, Ordering::AcqRel) {
            // SAFETY: see the module's notes.
            unsafe { SetLatch(self.latch.0) };
        }
    }

    /// Lets the next [`Waker::wake`] signal again. The main thread calls this before it checks for
    /// work.
    pub fn rearm(&self) {
        self.asked.store(false, Ordering::Release);
    }
}
