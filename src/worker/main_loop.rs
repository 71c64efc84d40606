//! The main loop of a worker: handles signals, settings and control tables, answers position
//! requests, writes, acknowledges, and waits. One round writes for one pipeline at most.
//! [`pipelines`] starts and stops the pipelines.

mod pipelines;

use super::breaker::Breaker;
use super::pipeline::WriteResources;
use super::refused;
use super::report;
use super::retention::DeadLetterRemoval;
use super::schedule::Schedule;
use super::wait_reason::{WaitEvents, WaitReason};
use crate::catalog::position::Positions;
use crate::config::Config;
#[cfg(feature = "faults")]
use crate::config::{self, Fault};
use crate::pg::waker::Waker;
use crate::pg::{activity, heartbeat, invalidation, latch, signals};
use crate::status::State;
use pgrx::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Interval at which control tables are read and figures are reported if nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// Interval at which figures are reported while there is work.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);
/// Longest wait of the main loop while acknowledgements wait for the WAL writer.
const ACK_POLL: Duration = Duration::from_millis(20);

/// One worker process.
pub struct Worker {
    /// Number of the worker, from 0.
    number: usize,
    waker: Waker,
    /// Wait events for `pg_stat_activity`.
    events: WaitEvents,
    resources: WriteResources,
    /// Current settings; `None` if they contradict each other.
    config: Option<Config>,
    /// The running pipelines; `None` while the worker is stopped or starting.
    active: Option<Schedule>,
    breaker: Breaker,
    /// Positions of pipelines by name, from the last time that pipelines were started or stopped.
    remembered: HashMap<String, Positions>,
    /// Oid of the extension when it was last looked up, to notice that it was created again.
    extension: Option<pg_sys::Oid>,
    /// Value of [`crate::status::control_changes`] when the control tables were last read.
    control_changes_seen: u64,
    /// Time when the control tables are read next.
    next_tick: Instant,
    /// Time when figures are reported next.
    next_show: Instant,
    /// Removal of dead letters that are too old or too large together.
    dead_letter_removal: DeadLetterRemoval,
}

impl Worker {
    /// Creates worker number `number`, which is connected to its database.
    pub fn new(number: usize, resources: WriteResources) -> Self {
        let now = Instant::now();
        Self {
            number,
            waker: Waker::of_this_process(),
            events: WaitEvents::register(),
            resources,
            config: None,
            active: None,
            breaker: Breaker::new(1, Duration::ZERO),
            remembered: HashMap::new(),
            extension: None,
            control_changes_seen: 0,
            next_tick: now,
            next_show: now,
            dead_letter_removal: DeadLetterRemoval::new(),
        }
    }

    /// Runs until the process is asked to end.
    pub fn run(mut self) {
        self.configure();
        loop {
            latch::reset();
            heartbeat::beat();
            self.waker.rearm();
            self.stop_if_requested();
            #[cfg(feature = "faults")]
            self.panic_if_requested();
            signals::process_interrupts();
            if signals::reload_settings_if_requested() {
                self.configure();
            }
            self.tick_if_due();
            let busy = self.step();
            self.show(busy);
            if !busy {
                self.rest();
            }
        }
    }

    #[cfg(feature = "faults")]
    #[allow(clippy::panic, reason = "this is what it is for")]
    fn panic_if_requested(&self) {
        match (config::fault(), &self.active) {
            (Fault::PanicOnMainThread, Some(_)) => panic!("a test asked for it"),
            (Fault::PanicOnOtherThread, Some(active)) => active.nats().panic_on_a_thread(),
            _ => {}
        }
    }

    /// Ends the threads if the process is asked to end or if a thread has panicked. They have to
    /// end before the process does: then nothing runs but PostgreSQL's exit.
    fn stop_if_requested(&mut self) {
        let panicked = self
            .active
            .as_ref()
            .is_some_and(|active| active.nats().panicked());
        if !panicked && !signals::stop_requested() {
            return;
        }
        self.stop(State::Stopped, "the worker is ending");
        if panicked {
            error!("a thread of sr_event_writer panicked; the worker starts over");
        }
    }

    /// Answers position requests, writes for one pipeline, and releases acknowledgements. Returns
    /// whether a pipeline had its turn, so that there may be more to write.
    fn step(&mut self) -> bool {
        let (Some(active), Some(config)) = (&mut self.active, &self.config) else {
            return false;
        };
        active.answer_position_requests(config.write.insert_timeout);
        if invalidation::any_changed() {
            active.forget_destinations();
        }
        let wrote = active.write_next(&mut self.breaker, &mut self.resources, config);
        active.release_acks(config.write.ack_after, !wrote);
        wrote
    }

    /// Reports figures and states, more rarely while the worker is busy.
    fn show(&mut self, busy: bool) {
        let now = Instant::now();
        if now < self.next_show && busy {
            return;
        }
        self.next_show = now + SHOW_INTERVAL;
        let (Some(active), Some(config)) = (&self.active, &self.config) else {
            return;
        };
        active.show(&config.nats);
        report::worker_figures(self.number, Some(active.nats()), &self.breaker);
        report::refusals(active.nats().connection());
        let refused = refused::names(self.own(&config.pipelines).map(|(_, pipeline)| pipeline));
        let explained = refused::degrade(active.state(&self.breaker, now), &refused);
        report::worker_state(self.number, &explained);
    }

    /// Waits on the latch for something to do.
    fn rest(&self) {
        activity::report_idle();
        let Some(active) = &self.active else {
            return latch::wait(self.events.of(WaitReason::Start), TICK);
        };
        let now = Instant::now();
        let (what, longest) = match active.next_due(&self.breaker, now) {
            Some(at) => (
                WaitReason::Backoff,
                at.saturating_duration_since(now).min(TICK),
            ),
            None => (active.wait_reason(), TICK),
        };
        let longest = match active.has_unreleased_acks() {
            true => longest.min(ACK_POLL),
            false => longest,
        };
        latch::wait(self.events.of(what), longest);
    }
}
