//! What a database error means for a batch. The SQLSTATE decides, and only here.

use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::prelude::*;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A row is at fault: find it and write the others.
    Data,
    /// The destination is at fault: stop this pipeline until the table fits. Unless it takes other
    /// rows: then it is a row after all.
    Schema,
    /// The server is at fault: keep everything and try again later.
    Environment,
}

/// An error of the database, or one found before asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Five characters, as PostgreSQL shows them.
    pub sqlstate: String,
    /// Message and DETAIL.
    pub message: String,
}

impl Failure {
    /// A failure that this extension finds itself.
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        Self {
            sqlstate: sqlstate.to_owned(),
            message: message.into(),
        }
    }

    /// A destination that rows cannot be written to.
    pub fn schema(message: impl Into<String>) -> Self {
        Self::new("42P10", message)
    }

    /// What was raised.
    pub fn from_report(report: &ErrorReportWithLevel) -> Self {
        let message = match report.detail() {
            Some(detail) => format!("{}: {detail}", report.message()),
            None => report.message().to_owned(),
        };
        Self {
            sqlstate: characters(report.sql_error_code()),
            message,
        }
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        class(&self.sqlstate)
    }

    /// Whether a row with the same key is there already.
    pub fn is_taken_key(&self) -> bool {
        matches!(self.sqlstate.as_str(), "23505" | "23P01")
    }

    /// Whether another session was in the way, which says nothing about the state of the server.
    pub fn is_contention(&self) -> bool {
        // Serialization, deadlock, lock time-out.
        matches!(self.sqlstate.as_str(), "40001" | "40P01" | "55P03")
    }

    /// Whether a smaller batch may get through where this one did not.
    pub fn wants_smaller_batch(&self) -> bool {
        // Cancelled by the time limit, lock time-out, deadlock, out of memory.
        matches!(
            self.sqlstate.as_str(),
            "57014" | "55P03" | "40P01" | "53200"
        )
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.sqlstate)
    }
}

impl std::error::Error for Failure {}

impl From<spi::Error> for Failure {
    fn from(error: spi::Error) -> Self {
        Self::new("XX000", error.to_string())
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

/// PostgreSQL packs the five characters of a SQLSTATE into six bits each.
fn characters(code: PgSqlErrorCode) -> String {
    let packed = code as i32;
    let character =
        |n: i32| char::from(b'0' + u8::try_from((packed >> (6 * n)) & 0x3f).unwrap_or(0));
    (0..5).map(character).collect()
}

fn class(sqlstate: &str) -> Class {
    match sqlstate {
        // More than one statement may do: a smaller one may do it. Waiting cures nothing.
        "53400" => return Class::Data,
        // What the table is does not go with the statement.
        "55000" => return Class::Schema,
        _ => {}
    }
    match sqlstate.get(..2).unwrap_or_default() {
        // A foreign key or exclusion that fails, a value out of range, a row touched twice, a value
        // beyond a limit of the server: all are about rows.
        "21" | "22" | "23" | "44" | "54" => Class::Data,
        // Insufficient privilege is a matter of the table, as the missing column is.
        "42" | "3F" | "0A" => Class::Schema,
        // Raised by a trigger of the table: about a row, unless it says otherwise.
        "P0" => Class::Data,
        _ => Class::Environment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_error_has_its_meaning() {
        for (sqlstate, expected) in [
            ("21000", Class::Data),
            ("22P02", Class::Data),
            ("23514", Class::Data),
            ("44000", Class::Data),
            ("54001", Class::Data),
            ("P0001", Class::Data),
            ("53400", Class::Data),
            ("0A000", Class::Schema),
            ("3F000", Class::Schema),
            ("42703", Class::Schema),
            ("42501", Class::Schema),
            ("42P01", Class::Schema),
            ("55000", Class::Schema),
            ("08006", Class::Environment),
            ("25006", Class::Environment),
            ("40001", Class::Environment),
            ("53100", Class::Environment),
            ("53200", Class::Environment),
            ("55P03", Class::Environment),
            ("55006", Class::Environment),
            ("57014", Class::Environment),
            ("57P01", Class::Environment),
            ("58030", Class::Environment),
            ("XX000", Class::Environment),
            ("", Class::Environment),
        ] {
            assert_eq!(Failure::new(sqlstate, "").class(), expected, "{sqlstate}");
        }
    }

    #[test]
    fn sqlstates_are_shown_as_postgresql_shows_them() {
        assert_eq!(characters(PgSqlErrorCode::ERRCODE_CHECK_VIOLATION), "23514");
        assert_eq!(characters(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE), "42P01");
        assert_eq!(characters(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR), "XX000");
    }

    #[test]
    fn only_what_size_can_cure_asks_for_a_smaller_batch() {
        for sqlstate in ["57014", "55P03", "40P01", "53200"] {
            assert!(
                Failure::new(sqlstate, "").wants_smaller_batch(),
                "{sqlstate}"
            );
        }
        for sqlstate in ["40001", "53100", "58030", "XX000"] {
            assert!(
                !Failure::new(sqlstate, "").wants_smaller_batch(),
                "{sqlstate}"
            );
        }
    }

    #[test]
    fn only_another_session_in_the_way_is_contention() {
        for sqlstate in ["40001", "40P01", "55P03"] {
            assert!(Failure::new(sqlstate, "").is_contention(), "{sqlstate}");
        }
        for sqlstate in ["40003", "53200", "55006", "57014"] {
            assert!(!Failure::new(sqlstate, "").is_contention(), "{sqlstate}");
        }
    }

    #[test]
    fn a_taken_key_is_that_of_a_unique_or_an_exclusion_constraint() {
        for (sqlstate, expected) in [("23505", true), ("23P01", true), ("23503", false)] {
            assert_eq!(
                Failure::new(sqlstate, "").is_taken_key(),
                expected,
                "{sqlstate}"
            );
        }
    }
}
