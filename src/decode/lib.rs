//! Decodes payloads into typed rows, or into a [`Reject`] that gives the reason.
//!
//! To see what becomes of a payload, read `formats/`: one small file for each format, which is a
//! table of columns, keys and conversions. `json_object/` applies such a table to JSON objects, and
//! `json/` finds the keys without building a tree.
//!
//! Decoding is pure: the same message always gives the same rows, so this crate uses no clock and
//! no random number, and knows neither NATS nor PostgreSQL. It must not panic, and must not recurse
//! as deep as a payload is nested, whatever the bytes are.

#![forbid(unsafe_code)]

mod format;
mod formats;
mod ids;
mod json;
mod json_object;
mod message;
mod preset;
mod reject;
mod sink;
#[cfg(test)]
mod testing;

pub use format::{Format, FormatRef, decode_message};
pub use formats::{PRESETS, format, formats};
pub use message::{Message, Window};
pub use preset::Preset;
pub use reject::Reject;
pub use sink::{RowSink, TableSink};
