//! The worker's loop: look at signals, settings and control tables, let the NATS side know where it
//! stands, write, acknowledge, wait. One round never takes longer than one transaction. What runs
//! at all is decided in [`pipelines`].

mod pipelines;

use super::breaker::Breaker;
use super::pipeline::WriteResources;
use super::report;
use super::retention::Upkeep;
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

/// How often control tables are read and figures are shown without a cause.
const TICK: Duration = Duration::from_secs(1);
/// How often figures are shown while there is work.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);
/// How long acknowledgements may wait for the log writer while there is nothing to do.
const ACK_POLL: Duration = Duration::from_millis(20);

/// One worker process.
pub struct Worker {
    number: usize,
    waker: Waker,
    events: WaitEvents,
    resources: WriteResources,
    config: Option<Config>,
    active: Option<Schedule>,
    breaker: Breaker,
    /// Positions of pipelines that are not consumed at the moment.
    remembered: HashMap<String, Positions>,
    /// The extension as it was last seen.
    extension: Option<pg_sys::Oid>,
    generation: u64,
    next_tick: Instant,
    next_show: Instant,
    retention: Upkeep,
}

impl Worker {
    /// Worker number `number`, connected to its database.
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
            generation: 0,
            next_tick: now,
            next_show: now,
            retention: Upkeep::new(),
        }
    }

    /// Runs until the process is told to end.
    pub fn run(mut self) {
        self.configure();
        loop {
            latch::reset();
            heartbeat::beat();
            self.waker.looking();
            self.stop_if_told();
            #[cfg(feature = "faults")]
            self.panic_if_asked();
            signals::process_interrupts();
            if signals::reload_if_asked() {
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
    fn panic_if_asked(&self) {
        match (config::fault(), &self.active) {
            (Fault::PanicOnMainThread, Some(_)) => panic!("a test asked for it"),
            (Fault::PanicOnOtherThread, Some(active)) => active.nats().panic_on_a_thread(),
            _ => {}
        }
    }

    /// Ends the threads before the process: after that nothing but PostgreSQL's exit runs.
    fn stop_if_told(&mut self) {
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

    /// Does one thing that is due. Whether there may be more.
    fn step(&mut self) -> bool {
        let (Some(active), Some(config)) = (&mut self.active, &self.config) else {
            return false;
        };
        active.answer_position_requests(config.write.insert_timeout);
        if invalidation::any_changed() {
            active.forget_targets();
        }
        let wrote = active.write_next(&mut self.breaker, &mut self.resources, config);
        active.release_acks(config.write.ack_after, !wrote);
        wrote
    }

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
        let (state, reason) = active.state(&self.breaker, now);
        report::worker_state(self.number, state, &reason);
    }

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
