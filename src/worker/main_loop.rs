//! The worker's loop: look at signals, settings and control tables, let the NATS side know where it
//! stands, write, acknowledge, wait. One turn never takes longer than one transaction.

use super::breaker::Breaker;
use super::pipeline::{Pipeline, WriteResources};
use super::report;
use super::retention::Upkeep;
use super::schedule::Schedule;
use super::wait_reason::{WaitEvents, WaitReason};
use crate::catalog::Extension;
use crate::catalog::pipeline_control::{self, OperatorRequests};
use crate::catalog::position::{self, Positions};
#[cfg(feature = "faults")]
use crate::config::Fault;
use crate::config::{self, Config, PipelineConfig};
use crate::pg::failure::Failure;
use crate::pg::waker::Waker;
use crate::pg::{activity, heartbeat, invalidation, latch, signals, transaction};
use crate::status::{self, Slot, State};
use nats::Nats;
use pgrx::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often control tables are read and figures are shown without a cause.
const TICK: Duration = Duration::from_secs(1);
/// How often figures are shown while there is work.
const SHOW: Duration = Duration::from_millis(200);
/// How long threads may take to end.
const PATIENCE: Duration = Duration::from_millis(500);
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

    /// Applies the settings as they are now. Consuming starts over if any of them changed: what was
    /// fetched and not written yet is dropped here and read again from the recorded position.
    fn configure(&mut self) {
        let config = match config::read() {
            Ok(config) => config,
            Err(error) => {
                self.config = None;
                self.stop(State::Misconfigured, &error.to_string());
                return;
            }
        };
        if self.config.as_ref() == Some(&config) {
            return;
        }
        self.breaker = Breaker::new(config.write.breaker_failures, config.write.breaker_reset);
        self.retention = Upkeep::new();
        let enabled = config.enabled;
        self.config = Some(config);
        match enabled {
            false => self.stop(State::Disabled, "sr_event_writer.enabled is off"),
            true => self.stop(State::Starting, "settings were read"),
        }
        self.next_tick = Instant::now();
    }

    fn stop(&mut self, state: State, reason: &str) {
        if let Some(active) = self.active.take() {
            self.remembered.extend(active.shut_down(PATIENCE));
        }
        report::worker_state(self.number, state, reason);
        report::worker_figures(self.number, None, &self.breaker);
        if let Some(config) = self.config.clone() {
            for pipeline in self.share(&config) {
                report::stream_idle(pipeline, &config.nats, state, reason);
            }
        }
    }

    /// Reads the control tables once a second, and at once when a session says so.
    fn tick_if_due(&mut self) {
        let generation = status::generation();
        if Instant::now() < self.next_tick && generation == self.generation {
            return;
        }
        self.generation = generation;
        self.next_tick = Instant::now() + TICK;
        let Some(config) = self.config.clone().filter(|config| config.enabled) else {
            return;
        };
        activity::report_running(c"reading sr_event_writer.pipeline_control");
        match transaction::run(config.write.insert_timeout, read_catalog) {
            Ok((Extension::Present(extension), requests)) => {
                if self
                    .extension
                    .replace(extension)
                    .is_some_and(|known| known != extension)
                {
                    self.stop(State::Starting, "the extension was created anew");
                }
                self.serve(&config, &requests);
            }
            Ok((Extension::Restoring, _)) => {
                let reason = "the database is being restored (timescaledb.restoring is on); goes on after timescaledb_post_restore()";
                self.stop(State::Paused, reason);
            }
            Ok((Extension::Missing, _)) => {
                let database = config::database();
                let reason = format!(
                    "extension sr_event_writer does not exist in database \"{database}\"; run CREATE EXTENSION sr_event_writer there"
                );
                self.stop(State::Starting, &reason);
            }
            Err(failure) => {
                let reason = format!("control tables: {failure}");
                report::worker_state(self.number, State::Degraded, &reason);
            }
        }
        activity::report_idle();
    }

    /// Starts what is missing and applies what operators have asked for.
    fn serve(&mut self, config: &Config, requests: &OperatorRequests) {
        if self.active.is_none() {
            self.remember(config);
            self.start(config);
        }
        let Some(active) = &mut self.active else {
            return;
        };
        active.apply(requests);
        self.retention.run_due(self.number, &config.write);
    }

    /// Reads what is recorded before anything else is done: should DROP EXTENSION take it away,
    /// from now on this process knows it.
    fn remember(&mut self, config: &Config) {
        match transaction::run(config.write.insert_timeout, position::load_all) {
            Ok(recorded) => self.remembered.extend(recorded),
            // Each pipeline asks again on its own.
            Err(failure) => warning!("sr_event_writer: reading the positions failed: {failure}"),
        }
    }

    fn start(&mut self, config: &Config) {
        let number_of_pipelines = self.share(config).count();
        let waker = self.waker.clone();
        match Nats::start(config.nats.clone(), number_of_pipelines, move || {
            waker.wake();
        }) {
            Ok(mut nats) => {
                let pipelines = self.subscribe(&mut nats, config);
                self.active = Some(Schedule::start(nats, pipelines));
            }
            Err(error) => {
                let reason = format!("threads cannot be started: {error}");
                report::worker_state(self.number, State::Degraded, &reason);
            }
        }
    }

    /// This worker's share of the pipelines.
    fn share<'a>(
        &self,
        config: &'a Config,
    ) -> impl Iterator<Item = (Slot, &'a PipelineConfig)> + use<'a> {
        let (workers, number) = (config::workers(), self.number);
        let pipelines = config.pipelines.iter().enumerate();
        let mine = pipelines.filter(move |(n, _)| n % workers == number);
        mine.map(|(n, pipeline)| (Slot(n), pipeline))
    }

    fn subscribe(&self, nats: &mut Nats, config: &Config) -> Vec<Pipeline> {
        let new = |(slot, pipeline): (Slot, &PipelineConfig)| {
            let positions = self.remembered.get(&pipeline.nats.name).cloned();
            let positions = positions.unwrap_or_default();
            let subscription = nats.subscribe(pipeline.nats.clone());
            Pipeline::new(
                slot,
                pipeline.clone(),
                subscription,
                &config.write,
                positions,
            )
        };
        self.share(config).map(new).collect()
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
        self.next_show = now + SHOW;
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

/// Reads whether the extension is there, and if so what operators have asked for.
fn read_catalog() -> Result<(Extension, OperatorRequests), Failure> {
    let extension = Extension::look_up()?;
    let requests = match extension {
        Extension::Present(_) => pipeline_control::requests()?,
        Extension::Missing | Extension::Restoring => OperatorRequests::default(),
    };
    Ok((extension, requests))
}
