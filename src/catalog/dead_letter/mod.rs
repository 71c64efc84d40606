//! `sr_event_writer.dead_letter`: messages that no row could be made of, or that a table refuses,
//! kept whole with the reason.

mod insert;
mod resolve;
mod retention;

pub use insert::{Letter, Stage, keep};
pub use resolve::{Selection, StoredLetter, discard, load, mark_replayed, unresolved};
pub use retention::{Removed, expire, remove_oldest, size};

use crate::pg::failure::Failure;
use crate::pg::sql_state::SqlState;

/// SQLSTATE of a payload that cannot be decoded.
const UNDECODABLE: SqlState = SqlState::DATA_EXCEPTION;

/// SQLSTATE of [`crashing`]. No other dead letter has one of this class: it is about the server, so
/// it sets no message aside.
const CRASHING: SqlState = SqlState::INTERNAL_ERROR;

/// Returns a decoder's refusal as a failure.
pub fn undecodable(reject: &decode::Reject) -> Failure {
    Failure::new(UNDECODABLE, reject.to_string())
}

/// Returns the failure of a message that took the process down whenever it was tried.
pub fn crashing() -> Failure {
    Failure::new(
        CRASHING,
        "the server process crashed each time it wrote this message",
    )
}
