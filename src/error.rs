//! What SQL functions refuse, with SQLSTATE, DETAIL and HINT, mapped in this one place.

use crate::pg::failure::Failure;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// An error that a user can act on.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The library was loaded too late for workers and shared memory.
    #[error("sr_event_writer must be loaded via shared_preload_libraries")]
    NotPreloaded,
    /// No active pipeline has this name.
    #[error("there is no pipeline \"{0}\"")]
    UnknownPipeline(String),
    /// No format has this name.
    #[error("there is no processor \"{0}\"")]
    UnknownProcessor(String),
    /// The pipeline has to be paused for this.
    #[error("pipeline \"{0}\" is not paused")]
    NotPaused(String),
    /// Streams count from 1.
    #[error("{0} is not a stream sequence")]
    NoSequence(i64),
    /// Streams begin and end.
    #[error("the time to go to must be finite")]
    NoTime,
    /// The settings contradict each other.
    #[error("the settings do not fit: {0}")]
    Misconfigured(#[from] crate::config::ParseError),
    /// The payload could not be decoded.
    #[error("the payload cannot be decoded: {0}")]
    Undecodable(decode::Reject),
    /// What the database says about a statement of the function itself.
    #[error("{}", .0.message)]
    Database(#[from] Failure),
}

impl UserError {
    fn sqlstate(&self) -> PgSqlErrorCode {
        match self {
            Self::NotPreloaded | Self::NotPaused(_) => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Self::UnknownPipeline(_)
            | Self::UnknownProcessor(_)
            | Self::NoSequence(_)
            | Self::NoTime => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            Self::Misconfigured(_) => PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
            Self::Undecodable(_) => PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            Self::Database(failure) => failure.sqlstate.into(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotPreloaded => Some(
                "Add sr_event_writer to shared_preload_libraries in postgresql.conf and restart the server."
                    .to_owned(),
            ),
            Self::UnknownPipeline(_) => Some(format!(
                "Active pipelines (sr_event_writer.streams) are: {}.",
                crate::config::pipeline_names().join(", ")
            )),
            Self::UnknownProcessor(_) => {
                let names: Vec<_> = decode::formats().iter().map(|f| f.name()).collect();
                Some(format!("Processors are: {}.", names.join(", ")))
            }
            Self::NotPaused(name) => Some(format!(
                "Run SELECT sr_event_writer_pause({}) first, and sr_event_writer_resume() after this.",
                spi::quote_literal(name)
            )),
            Self::NoTime => Some("A sequence beyond the end means the end; sequence 1 the beginning.".to_owned()),
            Self::NoSequence(_) => Some("The first message of a stream has sequence 1.".to_owned()),
            Self::Undecodable(_) | Self::Database(_) | Self::Misconfigured(_) => None,
        }
    }

    /// Raises this as a PostgreSQL ERROR.
    pub fn raise(self) -> ! {
        let mut report = ErrorReport::new(self.sqlstate(), self.to_string(), "");
        if let Some(hint) = self.hint() {
            report = report.set_hint(hint);
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("report(ERROR) does not return")
    }
}

/// The value, or the error as a PostgreSQL ERROR.
pub fn or_raise<T>(result: Result<T, UserError>) -> T {
    result.unwrap_or_else(|error| error.raise())
}
