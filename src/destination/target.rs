//! A destination table as it really is, and what an insert into it has to say. Nothing is ever
//! changed on it.

use crate::pg::search_path::SearchPath;
use pgrx::prelude::*;
use row::{CopyFormat, SortKey};
use std::ffi::CString;

/// One column of the destination.
#[derive(Clone, Debug)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: pg_sys::Oid,
    /// Its type with schema and modifier, as SQL.
    pub type_name: String,
    /// Whether text reaches it without a cast.
    pub is_string: bool,
    /// A row that says nothing about it gets a default, or a number of its own.
    pub has_default: bool,
    /// NOT NULL without a default.
    pub must_be_given: bool,
    /// Neither generated nor always an identity.
    pub can_be_given: bool,
}

/// A column of the format's table where the destination has it, and what is written there.
pub type Matched = Option<(TableColumn, String)>;

/// What becomes of a row whose key is taken.
#[derive(Debug)]
pub enum OnConflict {
    /// There is no key that could be taken.
    Never,
    /// The row is left out.
    Nothing,
    /// The row that is there is updated.
    Update {
        /// Columns of the key.
        key: Vec<String>,
        /// Columns that are updated.
        columns: Vec<String>,
    },
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
