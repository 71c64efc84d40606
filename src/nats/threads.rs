//! The NATS thread: it receives no signals, and has a lower priority than the main thread.

use tokio::runtime::{Builder, Runtime};

/// One thread reads and decodes more than the main thread can write. A second one would cost time:
/// to pass work between the threads wakes them up and empties their CPU caches.
const THREADS: usize = 1;
/// Amount added to the nice value of the main thread.
const NICE: i32 = 5;

/// Starts a runtime whose threads block all signals. PostgreSQL's handlers may run only on the main
/// thread, but the kernel delivers a signal of the process to any thread that does not block it.
pub(crate) fn start() -> std::io::Result<Runtime> {
    let before = block_all_signals()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("sr_event_writer")
        // Covers threads that are started later, too, whatever thread starts them.
        .on_thread_start(|| {
            drop(block_all_signals());
            lower_priority();
        })
        .enable_all()
        .build();
    restore_signals(&before)?;
    runtime
}

/// Blocks every signal for this thread, and so for the threads that it starts. Returns the mask
/// before.
fn block_all_signals() -> std::io::Result<libc::sigset_t> {
    // SAFETY: both sets are owned by this frame; sigfillset and pthread_sigmask only write to them.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) {
            0 => Ok(before),
            error => Err(std::io::Error::from_raw_os_error(error)),
        }
    }
}

fn restore_signals(before: &libc::sigset_t) -> std::io::Result<()> {
    // SAFETY: `before` is a set that pthread_sigmask filled in.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(std::io::Error::from_raw_os_error(error)),
    }
}

/// Lowers the priority of this thread, so that the main thread gets the processor when both need
/// it: all pipelines wait for the main thread, and interruptions for every few messages cost it 5 %
/// of its speed. This thread keeps a third of the processor time that it would have had. Only speed
/// depends on this, so a failure is ignored.
fn lower_priority() {
    // On other systems it would change the priority of the whole process.
    #[cfg(target_os = "linux")]
    {
        // SAFETY: takes and touches no memory; on Linux it concerns only the calling thread.
        unsafe { libc::nice(NICE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_threads_of_the_runtime_have_a_lower_priority_than_the_one_that_starts_it() {
        // SAFETY: 0 means the calling thread; nothing is written.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let runtime = start().unwrap();
        let of_a_thread = runtime.block_on(async { tokio::spawn(async move { nice() }).await });
        assert_eq!(of_a_thread.unwrap(), nice() + NICE);
    }

    #[test]
    fn no_thread_of_the_runtime_takes_a_signal() {
        let runtime = start().unwrap();
        let masks = async {
            let blocking = tokio::task::spawn_blocking(blocked);
            (
                tokio::spawn(async { blocked() }).await.unwrap(),
                blocking.await.unwrap(),
            )
        };
        assert_eq!(runtime.block_on(masks), (true, true));
        assert!(!blocked(), "the caller's own mask is restored");
    }

    fn blocked() -> bool {
        // SAFETY: the set is owned by this frame and only written to.
        unsafe {
            let mut mask: libc::sigset_t = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &raw mut mask);
            [
                libc::SIGTERM,
                libc::SIGHUP,
                libc::SIGUSR1,
                libc::SIGURG,
                libc::SIGALRM,
            ]
            .iter()
            .all(|&signal| libc::sigismember(&raw const mask, signal) == 1)
        }
    }
}
