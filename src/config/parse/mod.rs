//! Parses the texts of settings. Pure. An invalid text is refused when the setting is set, with the
//! reason given here.

mod files;
mod names;
mod options;
mod servers;
mod subjects;

pub(super) use files::file;
pub use names::PIPELINES_MAX;
pub(super) use names::{streams, token};
pub(super) use options::{BATCH_SIZE_MAX, BATCH_TIMEOUT_MAX, Options, options, processor};
pub(super) use servers::{host_name, servers};
pub(super) use subjects::{inbox_prefix, subject_prefix};

/// The reason why a setting's text was refused: a complete sentence, for the DETAIL of an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

/// Returns a [`ParseError`] with this reason.
pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError(reason.into()))
}

/// Returns the reason of an error, for tests.
#[cfg(test)]
fn reason<T>(result: Result<T, ParseError>) -> String {
    result.err().unwrap().0
}
