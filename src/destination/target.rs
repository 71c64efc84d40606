//! A destination table as it really is, and what an insert into it has to say. Nothing is ever
//! changed on it.

use crate::pg::search_path::SearchPath;
use pgrx::prelude::*;
use row::{CopyFormat, SortKey};
use std::ffi::{CStr, CString};

/// Name under which the rows of a batch are visible to the insert.
pub const BATCH: &CStr = c"sr_event_writer_batch";

/// Name of the batch's column number `number`.
pub fn batch_column(number: usize) -> String {
    format!("c{number}")
}

/// How rows get into one destination.
#[derive(Debug)]
pub struct Target {
    /// Qualified name, for people.
    pub name: String,
    /// The relation, to recognise changes to it.
    pub relation: pg_sys::Oid,
    /// Rows are written as this role.
    pub owner: pg_sys::Oid,
    /// Along which it was found, and which its triggers see.
    pub path: SearchPath,
    /// The whole statement.
    pub insert: CString,
    /// How to copy into it, where COPY gives the same rows.
    pub copy: Option<CopyTarget>,
    /// Whether rows of one statement must not share a key.
    pub updates: bool,
}

/// COPY into one destination.
#[derive(Debug)]
pub struct CopyTarget {
    /// The whole statement.
    pub statement: CString,
    /// What becomes of each cell.
    pub format: CopyFormat,
    /// In which order, if not that of arrival.
    pub sort: Option<SortKey>,
}
