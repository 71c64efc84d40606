//! Errors of the database, and what they mean for a batch. SQLSTATEs are judged only here.

use super::sql_state::SqlState;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::prelude::*;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A row caused it: find that row and write the others.
    Data,
    /// The destination table caused it: stop this pipeline until the table fits. If the table
    /// accepts other rows, a row caused it after all.
    Schema,
    /// The server caused it: keep everything and try again later.
    Environment,
}

/// An error of the database, or one found before asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of error it is.
    pub sqlstate: SqlState,
    /// The primary message.
    pub message: String,
    /// The DETAIL, if there is one.
    pub detail: Option<String>,
}

impl Failure {
    /// Creates a failure that this extension has found itself.
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self {
            sqlstate,
            message: message.into(),
            detail: None,
        }
    }

    /// Creates the failure of a destination that rows cannot be written to.
    pub fn schema(message: impl Into<String>) -> Self {
        Self::new(SqlState::INVALID_COLUMN_REFERENCE, message)
    }

    /// Creates one from an error that PostgreSQL has raised.
    pub fn from_report(report: &ErrorReportWithLevel) -> Self {
        Self {
            sqlstate: report.sql_error_code().into(),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
        }
    }

    /// Returns message and DETAIL as one text.
    pub fn text(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.message),
            None => self.message.clone(),
        }
    }

    /// Returns what to do about it.
    pub fn class(&self) -> Class {
        class(self.sqlstate)
    }

    /// Returns whether a row with the same key exists already.
    pub fn is_taken_key(&self) -> bool {
        matches!(
            self.sqlstate,
            SqlState::UNIQUE_VIOLATION | SqlState::EXCLUSION_VIOLATION
        )
    }

    /// Returns whether another session was in the way, which says nothing about the server's
    /// health.
    pub fn is_contention(&self) -> bool {
        matches!(
            self.sqlstate,
            SqlState::SERIALIZATION_FAILURE
                | SqlState::DEADLOCK_DETECTED
                | SqlState::LOCK_NOT_AVAILABLE
        )
    }

    /// Returns whether a smaller batch might succeed.
    pub fn wants_smaller_batch(&self) -> bool {
        matches!(
            self.sqlstate,
            SqlState::QUERY_CANCELED
                | SqlState::LOCK_NOT_AVAILABLE
                | SqlState::DEADLOCK_DETECTED
                | SqlState::OUT_OF_MEMORY
        )
    }

    /// Returns whether the statement was cancelled, by its timeout or by a user.
    pub fn is_cancelled(&self) -> bool {
        self.sqlstate == SqlState::QUERY_CANCELED
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text(), self.sqlstate)
    }
}

impl std::error::Error for Failure {}

impl From<spi::Error> for Failure {
    fn from(error: spi::Error) -> Self {
        Self::new(SqlState::INTERNAL_ERROR, error.to_string())
    }
}

impl From<CaughtError> for Failure {
    fn from(error: CaughtError) -> Self {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic {
            ereport: report, ..
        }) = &error;
        Self::from_report(report)
    }
}

fn class(sqlstate: SqlState) -> Class {
    match sqlstate {
        // Exceeds what one statement may do. Fewer rows may be within the limit; waiting does not
        // help.
        SqlState::CONFIGURATION_LIMIT_EXCEEDED => return Class::Data,
        // The kind of table does not permit the statement.
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => return Class::Schema,
        _ => {}
    }
    match sqlstate.class() {
        // A violated constraint, a value out of range, a row updated twice, a value beyond a limit
        // of the server: all are properties of rows.
        "21" | "22" | "23" | "44" | "54" => Class::Data,
        // A missing privilege is a property of the table, as a missing column is.
        "42" | "3F" | "0A" => Class::Schema,
        // Raised by a trigger of the table, so most likely because of a row.
        "P0" => Class::Data,
        _ => Class::Environment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(sqlstate: &[u8; 5]) -> Failure {
        Failure::new(SqlState::new(sqlstate), "")
    }

    #[test]
    fn every_class_of_error_has_its_meaning() {
        for (sqlstate, expected) in [
            (b"21000", Class::Data),
            (b"22P02", Class::Data),
            (b"23514", Class::Data),
            (b"44000", Class::Data),
            (b"54001", Class::Data),
            (b"P0001", Class::Data),
            (b"53400", Class::Data),
            (b"0A000", Class::Schema),
            (b"3F000", Class::Schema),
            (b"42703", Class::Schema),
            (b"42501", Class::Schema),
            (b"42P01", Class::Schema),
            (b"55000", Class::Schema),
            (b"08006", Class::Environment),
            (b"25006", Class::Environment),
            (b"40001", Class::Environment),
            (b"53100", Class::Environment),
            (b"53200", Class::Environment),
            (b"55P03", Class::Environment),
            (b"55006", Class::Environment),
            (b"57014", Class::Environment),
            (b"57P01", Class::Environment),
            (b"58030", Class::Environment),
            (b"XX000", Class::Environment),
        ] {
            assert_eq!(failure(sqlstate).class(), expected, "{sqlstate:?}");
        }
    }

    #[test]
    fn only_what_size_can_cure_asks_for_a_smaller_batch() {
        for sqlstate in [b"57014", b"55P03", b"40P01", b"53200"] {
            assert!(failure(sqlstate).wants_smaller_batch(), "{sqlstate:?}");
        }
        for sqlstate in [b"40001", b"53100", b"58030", b"XX000"] {
            assert!(!failure(sqlstate).wants_smaller_batch(), "{sqlstate:?}");
        }
    }

    #[test]
    fn only_another_session_in_the_way_is_contention() {
        for sqlstate in [b"40001", b"40P01", b"55P03"] {
            assert!(failure(sqlstate).is_contention(), "{sqlstate:?}");
        }
        for sqlstate in [b"40003", b"53200", b"55006", b"57014"] {
            assert!(!failure(sqlstate).is_contention(), "{sqlstate:?}");
        }
    }

    #[test]
    fn a_taken_key_is_that_of_a_unique_or_an_exclusion_constraint() {
        for (sqlstate, expected) in [(b"23505", true), (b"23P01", true), (b"23503", false)] {
            assert_eq!(failure(sqlstate).is_taken_key(), expected, "{sqlstate:?}");
        }
    }
}
