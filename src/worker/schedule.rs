//! The schedule of a worker's pipelines. They share one connection, and take turns at writing: one
//! transaction at a time.

use super::ack_queue::PendingAcks;
use super::breaker::{Breaker, Permission};
use super::explanation::{self, Explained};
use super::pipeline::{Pipeline, Readiness, WriteResources};
use super::report;
use super::wait_reason::WaitReason;
use crate::catalog::pipeline_control::OperatorRequests;
use crate::catalog::position::Positions;
use crate::config::{self, AckAfter, Config, Fault};
use crate::pg::failure::Failure;
use crate::pg::{activity, transaction};
use crate::status::State;
use nats::{Nats, Settings};
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// The running pipelines of one worker.
pub struct Schedule {
    nats: Nats,
    pipelines: Vec<Pipeline>,
    acks: PendingAcks,
    /// Index of the pipeline that had the last turn.
    next: usize,
}

impl Schedule {
    /// Starts fetching for all pipelines.
    pub fn start(nats: Nats, mut pipelines: Vec<Pipeline>) -> Self {
        pipelines
            .iter_mut()
            .for_each(|pipeline| pipeline.subscription.start());
        Self {
            nats,
            pipelines,
            acks: PendingAcks::default(),
            next: 0,
        }
    }

    /// Stops the pipelines and ends the threads, for no longer than `longest`. Returns the
    /// positions of the pipelines by name.
    pub fn shut_down(mut self, longest: Duration) -> impl Iterator<Item = (String, Positions)> {
        self.acks.release_durable(&self.nats);
        self.pipelines
            .iter_mut()
            .for_each(|pipeline| pipeline.subscription.stop());
        self.nats.shut_down(longest);
        self.pipelines.into_iter().map(Pipeline::into_positions)
    }

    /// Returns the connection and the threads.
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// Applies the requests of operators.
    pub fn apply(&mut self, requests: &OperatorRequests) {
        for pipeline in &mut self.pipelines {
            let name = pipeline.config.nats.name.clone();
            pipeline.pause(requests.paused.contains(&name));
            pipeline.seek(requests.seeking.contains(&name));
        }
    }

    /// Answers the position requests of all sessions.
    pub fn answer_position_requests(&mut self, timeout: Duration) {
        for pipeline in &mut self.pipelines {
            let Some(request) = pipeline.subscription.next_position_request() else {
                continue;
            };
            match pipeline.resume(request, timeout) {
                Ok(()) => {
                    self.acks.forget(pipeline.slot);
                    report::position(pipeline);
                }
                Err(failure) => {
                    warning!("sr_event_writer: reading the recorded position failed: {failure}");
                }
            }
        }
    }

    /// Makes all pipelines look up their destinations again.
    pub fn forget_destinations(&mut self) {
        self.pipelines
            .iter_mut()
            .for_each(|pipeline| pipeline.writer.forget_destinations());
    }

    /// Passes on the acknowledgements whose commits have become durable.
    pub fn release_acks(&mut self, after: AckAfter, idle: bool) {
        self.acks.release(after, idle, &self.nats);
    }

    /// Returns whether any acknowledgement waits.
    pub fn has_unreleased_acks(&self) -> bool {
        !self.acks.is_empty()
    }

    /// Reports all pipelines.
    pub fn show(&self, settings: &Settings) {
        for pipeline in &self.pipelines {
            report::pipeline(pipeline, settings, self.nats.connection(), &self.acks);
        }
    }

    /// Lets the next pipeline that has something to do take its turn. Returns whether one did.
    pub fn write_next(
        &mut self,
        breaker: &mut Breaker,
        resources: &mut WriteResources,
        config: &Config,
    ) -> bool {
        let now = Instant::now();
        let permission = breaker.permission(now);
        for _ in 0..self.pipelines.len() {
            self.next = (self.next + 1) % self.pipelines.len();
            let Some(pipeline) = self.pipelines.get_mut(self.next) else {
                return false;
            };
            let own = pipeline.permitted(permission);
            if pipeline.readiness(now, own) != Readiness::Ready {
                continue;
            }
            if permission == Permission::Probe
                && let Err(failure) = probe(config.write.insert_timeout)
            {
                breaker.record(Some(&failure), Instant::now());
                return false;
            }
            if config::fault() == Fault::AckBeforeCommit {
                // Best effort: if the queue is full, the normal one after the commit still happens.
                let _ = self.nats.acknowledge(pipeline.premature_receipts());
            }
            activity::report_running(c"writing a batch");
            let Some(done) = pipeline.write_batch(own, resources, &config.write) else {
                continue;
            };
            report::written(pipeline, &done);
            if let Some(prefix) = &config.write.dead_letter_subject {
                let subject = format!("{prefix}.{}", pipeline.config.nats.name);
                for message in done.written.dead_letters {
                    self.nats.publish_dead_letter(subject.clone(), message);
                }
            }
            breaker.record(done.failure.as_ref(), Instant::now());
            self.acks.after_commit(pipeline.slot, done.receipts);
            return true;
        }
        false
    }

    /// Returns the earliest time at which a pipeline has something to do, if that is known.
    pub fn next_due(&self, breaker: &Breaker, now: Instant) -> Option<Instant> {
        let permission = breaker.permission(now);
        let readiness = self
            .pipelines
            .iter()
            .map(|pipeline| pipeline.readiness(now, pipeline.permitted(permission)));
        readiness
            .filter_map(|readiness| match readiness {
                Readiness::Ready => Some(now),
                Readiness::NotBefore(at) => Some(at),
                Readiness::Idle => None,
            })
            .min()
    }

    /// Returns the reason to wait when no attempt is planned.
    pub fn wait_reason(&self) -> WaitReason {
        match self.nats.connection().connectivity() {
            nats::Connectivity::Disconnected => WaitReason::Nats,
            nats::Connectivity::Connected | nats::Connectivity::LameDuck => WaitReason::Messages,
        }
    }

    /// Returns the state of the worker, which is that of its worst part.
    pub fn state(&self, breaker: &Breaker, now: Instant) -> Explained {
        if let Permission::Wait(_) = breaker.permission(now) {
            let reason = "the circuit breaker is open after database errors";
            return Explained::own(State::Degraded, reason);
        }
        let connection = self.nats.connection();
        if let Some(trouble) = explanation::of_connection(connection) {
            return trouble;
        }
        let pipelines = self.pipelines.iter();
        let states: Vec<State> = pipelines
            .map(|pipeline| explanation::of_pipeline(pipeline, connection, &self.acks).state)
            .collect();
        let all = |state| !states.is_empty() && states.iter().all(|s| *s == state);
        let any = |state| states.contains(&state);
        let (state, reason) = match () {
            () if all(State::Paused) => (State::Paused, "all streams are paused"),
            () if any(State::Degraded) => {
                (State::Degraded, "a stream has trouble; see stream_status")
            }
            () if all(State::Starting) => (State::Starting, "streams are starting"),
            () => (State::Running, ""),
        };
        Explained::own(state, reason)
    }
}

/// Runs a trivial statement, to find out whether the database answers at all.
fn probe(timeout: Duration) -> Result<(), Failure> {
    activity::report_running(c"SELECT 1");
    transaction::run(timeout, || Ok(Spi::run("SELECT 1")?))
}
