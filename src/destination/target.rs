//! A destination table as it really is, and what an insert into it has to say. Nothing is ever
//! changed on it.

use super::statement::{Matched, OnConflict};
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
    /// For each of the format's columns, what to write where.
    pub matched: Vec<Matched>,
    /// What becomes of a row whose key is taken.
    pub on_conflict: OnConflict,
    /// How to copy into it, where COPY gives the same rows.
    pub copy: Option<CopyTarget>,
}

impl Target {
    /// Whether rows of one statement must not share a key.
    pub fn updates(&self) -> bool {
        matches!(self.on_conflict, OnConflict::Update { .. })
    }

    /// Numbers of the format's columns for which the destination has a default.
    pub fn defaulted(&self) -> Vec<usize> {
        let columns = self.matched.iter().enumerate();
        let has_default =
            |matched: &Matched| matched.as_ref().is_some_and(|(found, _)| found.has_default);
        columns
            .filter(|(_, matched)| has_default(matched))
            .map(|(number, _)| number)
            .collect()
    }

    /// What to write where, without some of the format's columns, as if the destination lacked
    /// them.
    pub fn matched_without(&self, absent: &[usize]) -> Vec<Matched> {
        let columns = self.matched.iter().enumerate();
        columns
            .map(|(number, matched)| matched.clone().filter(|_| !absent.contains(&number)))
            .collect()
    }
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
