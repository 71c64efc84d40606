//! When a pipeline may write: the reason why it is blocked, the time of the next attempt, and the
//! size of a transaction.

use super::{Pipeline, WriteReport};
use crate::config::WriteConfig;
use crate::pg::failure::{Class, Failure};
use crate::worker::breaker::Permission;
use std::time::{Duration, Instant};

/// Delay before a destination that does not fit is looked up again.
const SCHEMA_RETRY_DELAY: Duration = Duration::from_secs(2);

/// Reason why a pipeline does not write at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// An operator has paused it.
    Paused,
    /// The destination does not fit the format.
    SchemaMismatch(Failure),
    /// A transaction failed and will be tried again.
    Retrying(Failure),
}

/// The time at which a pipeline has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Now.
    Ready,
    /// Not before this time.
    NotBefore(Instant),
    /// When something arrives.
    Idle,
}

impl Pipeline {
    /// Returns whether there is something to do now, or when there may be.
    pub fn readiness(&self, now: Instant, permission: Permission) -> Readiness {
        if self.blocked == Some(Blocked::Paused) {
            return Readiness::Idle;
        }
        if let Permission::Wait(until) = permission {
            return Readiness::NotBefore(until);
        }
        match self.try_at {
            Some(at) if at > now => Readiness::NotBefore(at),
            // A destination that did not fit is looked up again even if no batch waits.
            Some(_) => Readiness::Ready,
            None if self.waiting.is_empty() && !self.subscription.has_batch() => Readiness::Idle,
            None => Readiness::Ready,
        }
    }

    /// Returns what this pipeline may try. An open breaker stops the pipelines that have failed;
    /// each of the others may write a single message, which shows whether the whole server or only
    /// a table is failing.
    pub fn permitted(&self, permission: Permission) -> Permission {
        match (permission, &self.blocked) {
            (Permission::Wait(_), None | Some(Blocked::SchemaMismatch(_) | Blocked::Paused)) => {
                Permission::Probe
            }
            (permission, _) => permission,
        }
    }

    /// Looks up again a destination that did not fit, although no batch waits.
    pub(super) fn probe_destination(&mut self, config: &WriteConfig) {
        match self.writer.probe(config.insert_timeout) {
            Ok(()) => {
                self.unblock();
                if !self.subscription.is_started() {
                    self.subscription.start();
                }
            }
            Err(failure) => self.block(failure),
        }
    }

    /// Unblocks or blocks the pipeline after an attempt, and adapts the size of its transactions.
    pub(super) fn apply_result(&mut self, report: &WriteReport, config: &WriteConfig) {
        match &report.failure {
            None => {
                self.unblock();
                self.max_messages = (self.max_messages * 2).min(config.max_batch_rows);
            }
            Some(failure) => {
                if failure.wants_smaller_batch() && report.tried > 0 {
                    self.max_messages = (self.max_messages.min(report.tried) / 2).max(1);
                }
                self.block(failure.clone());
            }
        }
    }

    /// Ends the reason to wait, after a success.
    fn unblock(&mut self) {
        self.blocked = None;
        self.try_at = None;
        self.backoff.reset();
    }

    /// Stops writing because of a failure, and plans the next attempt.
    fn block(&mut self, failure: Failure) {
        if failure.class() == Class::Schema && !self.writer.has_destinations() {
            // Until the table is repaired, other pipelines can use the memory of these messages.
            self.stop_fetching();
        }
        // Whatever the failure was, the plan or the columns may be outdated.
        self.writer.forget_destinations();
        let (blocked, delay) = match failure.class() {
            Class::Schema => (Blocked::SchemaMismatch(failure), SCHEMA_RETRY_DELAY),
            Class::Data | Class::Environment => {
                (Blocked::Retrying(failure), self.backoff.next_delay())
            }
        };
        self.blocked = Some(blocked);
        self.try_at = Some(Instant::now() + delay);
    }
}
