//! Removes dead letters: those that are too old, and the oldest ones when all
//! together are too large.

use crate::catalog::dead_letter::{self, ExpireProgress};
use crate::config::WriteConfig;
use crate::pg::failure::Failure;
use crate::pg::transaction;
use crate::status;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// Interval at which dead letters that are too old are removed.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(600);
/// Longest time that removing keeps the main thread from writing.
const MAX_RUN_TIME: Duration = Duration::from_millis(500);
/// Shortest interval at which the size of the dead letters is measured.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);
/// Shortest interval between measurements, as a multiple of the time that one takes. The longer of
/// the two intervals counts.
const MEASURE_FACTOR: u32 = 50;
/// Delay after a failure to remove dead letters.
const RETRY_DELAY: Duration = Duration::from_secs(60);
/// Divisor of the maximum size: once the dead letters exceed it, they are removed until they are
/// below it by this part. Otherwise each new dead letter would start the removal again.
const HEADROOM_DIVISOR: u64 = 10;

/// The removal of dead letters by one worker.
pub struct DeadLetterRemoval {
    /// Time when dead letters that are too old are removed next.
    next_expire: Instant,
    /// Earliest time of the next measurement.
    next_measure: Instant,
    /// Number of dead letters of all pipelines at the last measurement.
    measured_count: Option<u64>,
    /// Bytes that still have to be removed.
    excess: u64,
    /// True once the log contains the warning that dead letters are removed.
    warned: bool,
}

impl DeadLetterRemoval {
    /// Creates the removal, due at once.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            next_expire: now,
            next_measure: now,
            measured_count: None,
            excess: 0,
            warned: false,
        }
    }

    /// Removes dead letters that are due, and stops after about [`MAX_RUN_TIME`]; the rest follows
    /// in later calls.
    pub fn run_due(&mut self, worker: usize, config: &WriteConfig) {
        let until = Instant::now() + MAX_RUN_TIME;
        if let Err(failure) = self.expire(config, until) {
            warning!("sr_event_writer: old dead letters were not removed: {failure}");
        }
        // One worker only, because two would remove twice as much.
        if let (0, Some(limit)) = (worker, config.dead_letter_max_size)
            && let Err(failure) = self.limit_size(limit, config.insert_timeout, until)
        {
            warning!("sr_event_writer: the dead letters' size was not limited: {failure}");
        }
    }

    /// Removes dead letters that are older than `dead_letter_retention`.
    fn expire(&mut self, config: &WriteConfig, until: Instant) -> Result<(), Failure> {
        let Some(age) = config.dead_letter_retention else {
            return Ok(());
        };
        if Instant::now() < self.next_expire {
            return Ok(());
        }
        self.next_expire = Instant::now() + EXPIRE_INTERVAL;
        let limit = config.insert_timeout;
        while transaction::run(limit, || dead_letter::expire(age))? == ExpireProgress::Partial {
            if Instant::now() >= until {
                // Batches are written in between.
                self.next_expire = until;
                break;
            }
        }
        Ok(())
    }

    /// Removes the oldest dead letters while all together exceed `most` bytes.
    fn limit_size(&mut self, most: u64, limit: Duration, until: Instant) -> Result<(), Failure> {
        if self.excess == 0 {
            self.measure(most, limit)?;
        }
        while self.excess > 0 {
            let excess = self.excess;
            let removed = transaction::run(limit, || dead_letter::remove_oldest(excess));
            let removed = removed.inspect_err(|_| self.postpone())?;
            status::update_worker(0, |worker| {
                worker.dead_letters.removed += removed.dead_letters;
                worker.dead_letters.bytes = worker.dead_letters.bytes.saturating_sub(removed.bytes);
            });
            self.excess = match removed.dead_letters {
                // The remaining ones are locked by a replay.
                0 => 0,
                _ => excess.saturating_sub(removed.bytes),
            };
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Measures the dead letters if there may be new ones, and sets the number of bytes to remove.
    fn measure(&mut self, most: u64, limit: Duration) -> Result<(), Failure> {
        let now = Instant::now();
        let count = status::dead_letters();
        if now < self.next_measure || self.measured_count == Some(count) {
            return Ok(());
        }
        let bytes = transaction::run(limit, dead_letter::size);
        // Set even after a failure, which may be a timeout.
        self.next_measure = Instant::now() + MEASURE_INTERVAL.max(now.elapsed() * MEASURE_FACTOR);
        let bytes = bytes?;
        self.measured_count = Some(count);
        status::update_worker(0, |worker| worker.dead_letters.bytes = bytes);
        if bytes > most {
            self.excess = bytes - (most - most / HEADROOM_DIVISOR);
            self.warn(bytes, most);
        }
        Ok(())
    }

    /// Stops removing for a while. The obstacle may last, and each attempt takes time in which
    /// nothing is written.
    fn postpone(&mut self) {
        self.excess = 0;
        self.measured_count = None;
        self.next_measure = Instant::now() + RETRY_DELAY;
    }

    /// Logs a warning once that dead letters are removed. Both sizes are in bytes.
    fn warn(&mut self, bytes: u64, most: u64) {
        if !std::mem::replace(&mut self.warned, true) {
            warning!(
                "sr_event_writer: dead letters take {} kB, more than sr_event_writer.dead_letter_max_size ({} kB); the oldest are removed, from now on without a word",
                bytes / 1024,
                most / 1024
            );
        }
    }
}
