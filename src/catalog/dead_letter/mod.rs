//! `sr_event_writer.dead_letter`: messages that could not become rows, because they cannot be
//! decoded or a table refuses them. They are kept completely, with the reason.

mod insert;
mod resolve;
mod retention;

pub use insert::{NewDeadLetter, Stage, insert};
pub use resolve::{Selection, StoredDeadLetter, discard, load, mark_replayed, unresolved};
pub use retention::{ExpireProgress, expire, remove_oldest, size};

use crate::pg::failure::Failure;
use crate::pg::sql_state::SqlState;

/// SQLSTATE of a payload that cannot be decoded.
const UNDECODABLE: SqlState = SqlState::DATA_EXCEPTION;

/// SQLSTATE of [`crashing`]. No other dead letter has it: errors of this class are about the
/// server, so they make no dead letter.
const CRASHING: SqlState = SqlState::INTERNAL_ERROR;

/// Returns the failure of a message that the decoder has rejected.
pub fn undecodable(reject: &decode::Reject) -> Failure {
    Failure::new(UNDECODABLE, reject.to_string())
}

/// Returns the failure of a message that crashed the process each time that it was written.
pub fn crashing() -> Failure {
    Failure::new(
        CRASHING,
        "the server process crashed each time it wrote this message",
    )
}
