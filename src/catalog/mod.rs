//! The extension's own tables, one file each. No other file contains SQL about them; the background
//! worker and the SQL functions share these.
//!
//! Everything here runs inside a transaction of the caller, and returns errors of the database as a
//! [`Failure`]. As in all statements of the worker, functions are named with their schema, because
//! they run as superuser. Operators and types are found along the pinned path
//! (`src/pg/search_path.rs`).

pub mod dead_letter;
mod extension;
pub mod gap;
pub mod pipeline_control;
pub mod position;

pub use extension::Extension;

use crate::pg::failure::Failure;
use crate::pg::sql_state::SqlState;
use nats::StreamId;
use pgrx::datum::TimestampWithTimeZone;
use row::Timestamp;

/// Converts a stream sequence to bigint. Fails beyond 2^63, which no stream reaches.
fn to_bigint(sequence: u64) -> Result<i64, Failure> {
    i64::try_from(sequence).map_err(|_| {
        Failure::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "a stream sequence exceeds 2^63",
        )
    })
}

/// Converts the creation time of a stream to timestamptz. Fails outside PostgreSQL's range.
fn created(stream_id: &StreamId) -> Result<TimestampWithTimeZone, Failure> {
    to_timestamptz(stream_id.created)
}

/// Converts a time of NATS to timestamptz. Fails outside PostgreSQL's range.
fn to_timestamptz(time: Timestamp) -> Result<TimestampWithTimeZone, Failure> {
    TimestampWithTimeZone::try_from(time.postgres_micros()).map_err(|_| {
        Failure::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "a time of NATS is out of range",
        )
    })
}

/// Converts a time that was written by this extension back from timestamptz. Returns `None` if NATS
/// cannot represent it.
fn from_timestamptz(time: Option<TimestampWithTimeZone>) -> Option<Timestamp> {
    Timestamp::from_postgres_micros(time?.into_inner())
}
