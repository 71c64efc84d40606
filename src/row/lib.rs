//! Rows between the decoder and the database: tables as data, typed cells, flat buffers.
//!
//! A decoder appends cells to a [`RowSet`]; the code that writes reads them as [`Cell`]s, or takes
//! the encoded bytes unchanged. This crate depends on nothing and may know neither NATS nor
//! PostgreSQL nor any payload format, so that a new write method does not affect the decoders, nor
//! a new decoder the write methods.

#![forbid(unsafe_code)]

mod cell;
mod copy;
mod merge;
mod rows;
mod slices;
mod sort;
mod table;
mod timestamp;

pub use cell::Cell;
pub use copy::{CopyField, CopyFormat};
pub use merge::{Merged, merge};
pub use rows::{Encoded, Row, RowSet, Rows};
pub use slices::{Group, RowSlices};
pub use sort::SortKey;
pub use table::{Column, Conflict, Kind, Table};
pub use timestamp::Timestamp;
