//! When a pipeline writes: what blocks it, when it tries again, and how much at once.

use super::{Pipeline, WriteReport};
use crate::config::WriteConfig;
use crate::pg::failure::{Class, Failure};
use crate::worker::breaker::Permission;
use std::time::{Duration, Instant};

/// How soon a destination that does not fit is looked up again.
const SCHEMA_RETRY_DELAY: Duration = Duration::from_secs(2);

/// Why a pipeline writes nothing at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// An operator paused it.
    Paused,
    /// The destination does not fit.
    SchemaMismatch(Failure),
    /// The database failed; another try follows.
    Retrying(Failure),
}

/// When a pipeline has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Now.
    Ready,
    /// Not before this.
    NotBefore(Instant),
    /// When something comes.
    Idle,
}

impl Pipeline {
    /// Returns whether something could be written now, or when that may be.
    pub fn readiness(&self, now: Instant, permission: Permission) -> Readiness {
        if self.blocked == Some(Blocked::Paused) {
            return Readiness::Idle;
        }
        if let Permission::Wait(until) = permission {
            return Readiness::NotBefore(until);
        }
        match self.try_at {
            Some(at) if at > now => Readiness::NotBefore(at),
            // A destination that did not fit is looked at again even when nothing waits.
            Some(_) => Readiness::Ready,
            None if self.waiting.is_empty() && !self.subscription.has_batch() => Readiness::Idle,
            None => Readiness::Ready,
        }
    }

    /// What this pipeline may try. An open breaker stops those that have failed; of the others a
    /// single message tells whether it is the server or a table.
    pub fn permitted(&self, permission: Permission) -> Permission {
        match (permission, &self.blocked) {
            (Permission::Wait(_), None | Some(Blocked::SchemaMismatch(_) | Blocked::Paused)) => {
                Permission::Probe
            }
            (permission, _) => permission,
        }
    }

    /// Looks a destination up that did not fit, although nothing waits to be written.
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

    fn unblock(&mut self) {
        self.blocked = None;
        self.try_at = None;
        self.backoff.reset();
    }

    fn block(&mut self, failure: Failure) {
        if failure.class() == Class::Schema && !self.writer.fits() {
            // What it holds could be any pipeline's memory until somebody mends the table.
            self.stop_fetching();
        }
        // A plan or a column may be stale whatever the error was.
        self.writer.forget_targets();
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
