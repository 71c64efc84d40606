//! Reads JSON without building a tree: gives the values of the keys that a format uses, as text of
//! the payload, so that no digit of a number is lost. It does not decide what a value means for a
//! column.

mod compact;
mod escape;
mod keys;
mod object;
mod raw;

pub(crate) use compact::{TooDeep, compact};
pub(crate) use keys::{Keys, SEPARATOR};
pub(crate) use object::{Slots, each_object};
pub(crate) use raw::Raw;

/// Returns whether the text is one valid JSON document. Takes constant stack, whatever the nesting.
pub(crate) fn is_valid(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
