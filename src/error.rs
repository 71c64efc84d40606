//! Errors of the SQL functions, each with its SQLSTATE, DETAIL and HINT.

use crate::pg::failure::Failure;
use crate::pg::message;
use pgrx::prelude::*;

/// An error that a user can act on.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The library was loaded too late to register workers and shared memory.
    #[error("sr_event_writer must be loaded via shared_preload_libraries")]
    NotPreloaded,
    /// No active pipeline has this name.
    #[error("pipeline \"{0}\" does not exist")]
    UnknownPipeline(String),
    /// No format has this name.
    #[error("processor \"{0}\" does not exist")]
    UnknownProcessor(String),
    /// The operation requires a paused pipeline.
    #[error("pipeline \"{0}\" is not paused")]
    NotPaused(String),
    /// The sequence is below 1, the first one of a stream.
    #[error("sequence must be greater than zero")]
    InvalidSequence,
    /// The time is infinite.
    #[error("seek time must be finite")]
    NonFiniteTime,
    /// The settings are invalid or contradict each other.
    #[error("conflicting settings")]
    Misconfigured(#[from] crate::config::ParseError),
    /// The pipeline does not run, because its settings or those of all pipelines are refused.
    #[error("pipeline \"{name}\" is misconfigured")]
    MisconfiguredPipeline {
        /// Its name.
        name: String,
        /// The reason, as a sentence.
        reason: String,
    },
    /// The payload could not be decoded.
    #[error("could not decode payload")]
    Undecodable(decode::Reject),
    /// The database failed in a statement of the function itself.
    #[error("{}", .0.message)]
    Database(#[from] Failure),
}

impl UserError {
    /// Returns the SQLSTATE.
    fn sqlstate(&self) -> PgSqlErrorCode {
        match self {
            Self::NotPreloaded | Self::NotPaused(_) => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Self::UnknownPipeline(_)
            | Self::UnknownProcessor(_)
            | Self::InvalidSequence
            | Self::NonFiniteTime => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            Self::Misconfigured(_) | Self::MisconfiguredPipeline { .. } => {
                PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR
            }
            Self::Undecodable(_) => PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            Self::Database(failure) => failure.sqlstate.into(),
        }
    }

    /// Returns the DETAIL, if there is one.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Misconfigured(reason) => Some(reason.to_string()),
            Self::MisconfiguredPipeline { reason, .. } => Some(reason.clone()),
            Self::Undecodable(reject) => Some(reject.to_string()),
            Self::Database(failure) => failure.detail.clone(),
            _ => None,
        }
    }

    /// Returns the HINT, if there is one.
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotPreloaded => Some(
                "Add sr_event_writer to shared_preload_libraries in postgresql.conf and restart the server."
                    .to_owned(),
            ),
            Self::UnknownPipeline(_) => Some(format!(
                "Active pipelines (sr_event_writer.streams) are {}.",
                crate::config::pipeline_names().join(", ")
            )),
            Self::UnknownProcessor(_) => {
                let names: Vec<_> = decode::formats().iter().map(|f| f.name()).collect();
                Some(format!("Processors are {}.", names.join(", ")))
            }
            Self::NotPaused(name) => Some(format!(
                "Run SELECT sr_event_writer_pause({}) first, and sr_event_writer_resume() after this.",
                spi::quote_literal(name)
            )),
            Self::NonFiniteTime => Some(
                "Pass a sequence instead: 1 is the beginning of the stream, one beyond its end is its end."
                    .to_owned(),
            ),
            Self::InvalidSequence => Some("The first message of a stream has sequence 1.".to_owned()),
            Self::MisconfiguredPipeline { .. } => Some(
                "Correct the settings and reload them with SELECT pg_reload_conf().".to_owned(),
            ),
            Self::Undecodable(_) | Self::Database(_) | Self::Misconfigured(_) => None,
        }
    }

    /// Raises it as a PostgreSQL ERROR.
    pub fn raise(self) -> ! {
        let hint = self.hint();
        self.report(PgLogLevel::ERROR, self.sqlstate(), hint);
        unreachable!("report(ERROR) does not return")
    }

    /// Reports it as a WARNING, because the caller's request is accepted all the same. The hint
    /// says what becomes of it.
    pub fn warn(&self, hint: &str) {
        let sqlstate = PgSqlErrorCode::ERRCODE_WARNING;
        self.report(PgLogLevel::WARNING, sqlstate, Some(hint.to_owned()));
    }

    /// Reports it with its message and DETAIL.
    fn report(&self, level: PgLogLevel, sqlstate: PgSqlErrorCode, hint: Option<String>) {
        let (detail, hint) = (self.detail(), hint.as_deref());
        message::send(level, sqlstate, self.to_string(), detail.as_deref(), hint);
    }
}

/// For a result that shows an error instead of raising it.
impl From<UserError> for Failure {
    fn from(error: UserError) -> Self {
        Self {
            sqlstate: error.sqlstate().into(),
            message: error.to_string(),
            detail: error.detail(),
        }
    }
}

/// Returns the value, or raises the error as a PostgreSQL ERROR.
pub fn or_raise<T>(result: Result<T, UserError>) -> T {
    result.unwrap_or_else(|error| error.raise())
}
