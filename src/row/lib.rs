//! Rows between the decoder and the database: tables as data, typed cells, flat buffers.
//!
//! A decoder appends cells to a [`RowSet`]; a write path reads them back as [`Cell`]s or takes the
//! encoded bytes as they are. Nothing here may know NATS, PostgreSQL or any payload format: this
//! crate depends on nothing, so a new write path or a new decoder never touches the other side.

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
pub use copy::{CopyFormat, Field};
pub use merge::{Merged, merge};
pub use rows::{Encoded, Row, RowSet, Rows};
pub use slices::{Group, RowSlices};
pub use sort::SortKey;
pub use table::{Column, Conflict, Kind, Table};
pub use timestamp::Timestamp;
