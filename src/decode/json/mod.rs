//! JSON without a tree: the values of the keys that a format asks for, as the text they are
//! written in, so that no digit of a number is lost. What a value means for a column is not
//! decided here.

mod compact;
mod escape;
mod keys;
mod object;
mod raw;

pub(crate) use compact::{TooDeep, compact};
pub(crate) use keys::{Keys, SEPARATOR};
pub(crate) use object::{Slots, each_object};
pub(crate) use raw::Raw;

/// Whether the text is one valid JSON document. Takes constant stack, whatever the nesting.
pub(crate) fn is_valid(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
