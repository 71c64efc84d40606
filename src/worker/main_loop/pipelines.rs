//! Starts, stops and pauses pipelines, as settings and control tables require.

use super::{TICK, Worker};
use crate::catalog::Extension;
use crate::catalog::pipeline_control::{self, OperatorRequests};
use crate::catalog::position;
use crate::config::{self, Config, PipelineConfig, PipelineDefinition};
use crate::pg::failure::Failure;
use crate::pg::{activity, transaction};
use crate::status::{self, Slot, State};
use crate::worker::breaker::Breaker;
use crate::worker::explanation::Explained;
use crate::worker::pipeline::Pipeline;
use crate::worker::refused;
use crate::worker::report;
use crate::worker::retention::DeadLetterRemoval;
use crate::worker::schedule::Schedule;
use nats::Nats;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// Time that the threads may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

impl Worker {
    /// Reads the settings. If any has changed, all pipelines start again: messages that are fetched
    /// and not written yet are dropped, and are read again from the recorded position.
    pub(super) fn configure(&mut self) {
        let config = match config::read() {
            Ok(config) => config,
            Err(error) => return self.refuse_all(&error.to_string()),
        };
        if self.config.as_ref() == Some(&config) {
            return;
        }
        self.breaker = Breaker::new(config.write.breaker_failures, config.write.breaker_reset);
        self.dead_letter_removal = DeadLetterRemoval::new();
        let (state, reason) = match config.enabled {
            false => (State::Disabled, "sr_event_writer.enabled is off".to_owned()),
            true if config.is_all_refused() => {
                let names = refused::names(config.pipelines.iter());
                (State::Misconfigured, refused::reason(&names))
            }
            true => (State::Starting, "settings were read".to_owned()),
        };
        self.config = Some(config);
        self.stop(state, &reason);
        self.next_tick = Instant::now();
    }

    /// Stops all pipelines, because settings contradict each other in a way that concerns all.
    fn refuse_all(&mut self, reason: &str) {
        self.config = None;
        self.stop(State::Misconfigured, reason);
        for (slot, name) in self.own(config::pipeline_names()) {
            report::misconfigured_pipeline(slot, &name, reason);
        }
    }

    /// Stops the pipelines, and reports the reason.
    pub(super) fn stop(&mut self, state: State, reason: &str) {
        if let Some(active) = self.active.take() {
            self.remembered.extend(active.shut_down(SHUTDOWN_TIMEOUT));
        }
        report::worker_state(self.number, &Explained::own(state, reason));
        report::worker_figures(self.number, None, &self.breaker);
        if let Some(config) = self.config.clone() {
            for (slot, pipeline) in self.own(&config.pipelines) {
                match &pipeline.config {
                    Ok(own) => report::idle_pipeline((slot, own), &config.nats, state, reason),
                    Err(error) => report::refused_pipeline(slot, &pipeline.name, error),
                }
            }
        }
    }

    /// Reads the control tables once a second, and at once when a session has changed one.
    pub(super) fn tick_if_due(&mut self) {
        let control_changes = status::control_changes();
        if Instant::now() < self.next_tick && control_changes == self.control_changes_seen {
            return;
        }
        self.control_changes_seen = control_changes;
        self.next_tick = Instant::now() + TICK;
        let runs = |config: &Config| config.enabled && !config.is_all_refused();
        let Some(config) = self.config.clone().filter(runs) else {
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
                    self.stop(State::Starting, "the extension was created again");
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
                report::worker_state(self.number, &Explained::own(State::Degraded, reason));
            }
        }
        activity::report_idle();
    }

    /// Starts the pipelines if they are not running, and applies the requests of operators.
    fn serve(&mut self, config: &Config, requests: &OperatorRequests) {
        if self.active.is_none() {
            self.load_positions(config);
            self.start(config);
        }
        let Some(active) = &mut self.active else {
            return;
        };
        active.apply(requests);
        self.dead_letter_removal.run_due(self.number, &config.write);
    }

    /// Reads all recorded positions before anything else, so that this process still has them if
    /// DROP EXTENSION removes the table.
    fn load_positions(&mut self, config: &Config) {
        match transaction::run(config.write.insert_timeout, position::load_all) {
            Ok(recorded) => self.remembered.extend(recorded),
            // Each pipeline reads its own position again.
            Err(failure) => warning!("sr_event_writer: reading the positions failed: {failure}"),
        }
    }

    /// Starts the threads, and all pipelines of this worker.
    fn start(&mut self, config: &Config) {
        let number_of_pipelines = self.accepted(config).count();
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
                report::worker_state(self.number, &Explained::own(State::Degraded, reason));
            }
        }
    }

    /// Returns those of the given pipelines that belong to this worker, which are every n-th of
    /// all, refused ones included.
    pub(super) fn own<T: IntoIterator>(
        &self,
        pipelines: T,
    ) -> impl Iterator<Item = (Slot, T::Item)> + use<T> {
        let (workers, number) = (config::workers(), self.number);
        let pipelines = pipelines.into_iter().enumerate();
        let mine = pipelines.filter(move |(n, _)| n % workers == number);
        mine.map(|(n, pipeline)| (Slot(n), pipeline))
    }

    /// Returns the pipelines of this worker whose definitions are not refused.
    fn accepted<'a>(
        &self,
        config: &'a Config,
    ) -> impl Iterator<Item = (Slot, &'a PipelineConfig)> + use<'a> {
        let accepted = |(slot, pipeline): (Slot, &'a PipelineDefinition)| {
            let config = pipeline.config.as_ref().ok()?;
            Some((slot, config))
        };
        self.own(&config.pipelines).filter_map(accepted)
    }

    /// Creates the pipelines of this worker, with their subscriptions.
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
        self.accepted(config).map(new).collect()
    }
}

/// Reads whether the extension exists, and if so, the requests of operators.
fn read_catalog() -> Result<(Extension, OperatorRequests), Failure> {
    let extension = Extension::look_up()?;
    let requests = match extension {
        Extension::Present(_) => pipeline_control::requests()?,
        Extension::Missing | Extension::Restoring => OperatorRequests::default(),
    };
    Ok((extension, requests))
}
