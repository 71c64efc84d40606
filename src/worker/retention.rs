//! Upkeep of the dead letters: those that are too old are removed, and the oldest of those that
//! take too much room.

use crate::catalog::dead_letter::{self, Removed};
use crate::config::WriteConfig;
use crate::pg::failure::Failure;
use crate::pg::transaction;
use crate::status;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// How often letters that are too old are looked for.
const EXPIRE: Duration = Duration::from_secs(600);
/// How long removing may keep the main thread from writing, at a time.
const AT_A_TIME: Duration = Duration::from_millis(500);
/// How often the room that letters take is measured, at most …
const MEASURE: Duration = Duration::from_secs(2);
/// … and this many times as long as it took are left between two times.
const RARELY: u32 = 50;
/// How long nothing is tried after removing has failed.
const LATER: Duration = Duration::from_secs(60);
/// Letters are removed until they are below the limit by this part of it, as a divisor: otherwise
/// each further one would make work.
const BELOW: u64 = 10;

/// What one worker does about dead letters.
pub struct Upkeep {
    next_expire: Instant,
    next_measure: Instant,
    /// Dead letters of all pipelines when the room was measured.
    seen: Option<u64>,
    /// Bytes that are still to be removed.
    excess: u64,
    warned: bool,
}

impl Upkeep {
    /// Nothing is known yet.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            next_expire: now,
            next_measure: now,
            seen: None,
            excess: 0,
            warned: false,
        }
    }

    /// Does what is due, for a moment at most.
    pub fn run_due(&mut self, worker: usize, config: &WriteConfig) {
        let until = Instant::now() + AT_A_TIME;
        if let Err(failure) = self.expire(config, until) {
            warning!("sr_event_writer: old dead letters were not removed: {failure}");
        }
        // One worker is enough: two would remove twice as much.
        if let (0, Some(limit)) = (worker, config.dead_letter_max_size)
            && let Err(failure) = self.make_room(limit, config.insert_timeout, until)
        {
            warning!("sr_event_writer: the dead letters' size was not limited: {failure}");
        }
    }

    fn expire(&mut self, config: &WriteConfig, until: Instant) -> Result<(), Failure> {
        let Some(age) = config.dead_letter_retention else {
            return Ok(());
        };
        if Instant::now() < self.next_expire {
            return Ok(());
        }
        self.next_expire = Instant::now() + EXPIRE;
        let limit = config.insert_timeout;
        while transaction::run(limit, || dead_letter::expire(age))? == Removed::Some {
            if Instant::now() >= until {
                // Meanwhile batches are written.
                self.next_expire = until;
                break;
            }
        }
        Ok(())
    }

    fn make_room(&mut self, most: u64, limit: Duration, until: Instant) -> Result<(), Failure> {
        if self.excess == 0 {
            self.measure(most, limit)?;
        }
        while self.excess > 0 {
            let excess = self.excess;
            let freed = transaction::run(limit, || dead_letter::remove_oldest(excess));
            let freed = freed.inspect_err(|_| self.give_up_for_now())?;
            status::update_worker(0, |worker| {
                worker.dead_letters.removed += freed.letters;
                worker.dead_letters.bytes = worker.dead_letters.bytes.saturating_sub(freed.bytes);
            });
            self.excess = match freed.letters {
                // What is left is being replayed.
                0 => 0,
                _ => excess.saturating_sub(freed.bytes),
            };
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Finds out how much is to be removed, if there may be something new.
    fn measure(&mut self, most: u64, limit: Duration) -> Result<(), Failure> {
        let now = Instant::now();
        let letters = status::dead_letters();
        if now < self.next_measure || self.seen == Some(letters) {
            return Ok(());
        }
        let bytes = transaction::run(limit, dead_letter::size);
        // Also after a failure, which the time limit may be.
        self.next_measure = Instant::now() + MEASURE.max(now.elapsed() * RARELY);
        let bytes = bytes?;
        self.seen = Some(letters);
        status::update_worker(0, |worker| worker.dead_letters.bytes = bytes);
        if bytes > most {
            self.excess = bytes - (most - most / BELOW);
            self.warn(bytes, most);
        }
        Ok(())
    }

    /// What was in the way may last, and each try costs time in which nothing is written.
    fn give_up_for_now(&mut self) {
        self.excess = 0;
        self.seen = None;
        self.next_measure = Instant::now() + LATER;
    }

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
