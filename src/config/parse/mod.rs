//! Text of a setting → values. Pure: what is refused here is refused when the setting is set, with
//! the same words.

mod names;
mod options;
mod servers;
mod subjects;

pub use names::PIPELINES_MAX;
pub(super) use names::{streams, token};
pub(super) use options::{BATCH_SIZE_MAX, BATCH_TIMEOUT_MAX, Options, options, processor};
pub(super) use servers::servers;
pub(super) use subjects::subject_prefix;

/// Why a setting's text was refused: a whole sentence, for the DETAIL of an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError(reason.into()))
}

#[cfg(test)]
fn reason<T>(result: Result<T, ParseError>) -> String {
    result.err().unwrap().0
}
