//! Payloads become typed rows, or a [`Reject`] that says what is wrong.
//!
//! A reader who wants to know what a payload turns into opens `formats/`: one small file per
//! format, each a table of columns, keys and conversions. `json_object/` carries such a table
//! out, `json/` finds the keys without building a tree.
//!
//! Decoding is pure: the same message gives the same rows, so no clock and no random number is
//! used here, and neither NATS nor PostgreSQL may be named. It must not panic, and must not
//! recurse as deep as a payload is nested, whatever the bytes are.

#![forbid(unsafe_code)]

mod format;
mod formats;
mod ids;
mod json;
mod json_object;
mod message;
mod reject;
mod sink;
#[cfg(test)]
mod testing;

pub use format::{Format, FormatRef, decode_message};
pub use formats::{format, formats};
pub use message::{Message, Window};
pub use reject::Reject;
pub use sink::{RowSink, TableSink};
