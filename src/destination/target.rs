//! A destination table as the catalogs describe it, and what is needed to write to it. Nothing here
//! ever changes the table's definition.

use crate::pg::search_path::SearchPath;
use pgrx::prelude::*;
use row::{CopyFormat, SortKey};
use std::ffi::CString;

/// A column of the destination.
#[derive(Clone, Debug)]
pub struct TableColumn {
    /// The column's name.
    pub name: String,
    /// The OID of its type.
    pub type_oid: pg_sys::Oid,
    /// Its type as SQL, with schema and modifier.
    pub type_name: String,
    /// True if it takes text without an explicit cast.
    pub is_string: bool,
    /// True if a row without a value for it gets a default, or the next number of an identity.
    pub has_default: bool,
    /// True if each row must have a value for it: it or its domain is NOT NULL, without a default.
    pub must_be_given: bool,
    /// True if a statement may give it a value: it is neither generated nor `GENERATED ALWAYS AS
    /// IDENTITY`.
    pub can_be_given: bool,
}

/// A column of the destination that a column of the format is written to.
#[derive(Clone, Debug)]
pub struct WrittenColumn {
    /// The destination's column.
    pub column: TableColumn,
    /// The expression whose value the INSERT writes to it.
    pub expression: String,
}

/// The action of the INSERT for a row whose key exists already.
#[derive(Debug)]
pub enum OnConflict {
    /// No ON CONFLICT clause: the table has no key, or one with which PostgreSQL does not allow the
    /// clause.
    Never,
    /// DO NOTHING: the row is skipped.
    Nothing,
    /// DO UPDATE: the existing row is updated.
    Update {
        /// The columns of the key.
        key: Vec<String>,
        /// The columns that are updated.
        columns: Vec<String>,
    },
}

/// Everything that is needed to write rows to one destination.
#[derive(Debug)]
pub struct Target {
    /// The qualified and quoted name, for statements and messages.
    pub name: String,
    /// The relation's OID, to recognise invalidations for it.
    pub relation: pg_sys::Oid,
    /// The owner, as whom rows are written.
    pub owner: pg_sys::Oid,
    /// The `search_path` that it was found with and that its triggers run under.
    pub path: SearchPath,
    /// The destination's column for each column of the format; `None` if it lacks one.
    pub written_columns: Vec<Option<WrittenColumn>>,
    /// The action for a row whose key exists already.
    pub on_conflict: OnConflict,
    /// The COPY statement, or `None` where COPY would not give the same rows.
    pub copy: Option<CopyTarget>,
}

impl Target {
    /// Returns whether the INSERT updates existing rows, in which case the rows of one statement
    /// must have different keys.
    pub fn updates(&self) -> bool {
        matches!(self.on_conflict, OnConflict::Update { .. })
    }

    /// Returns the indexes of the format's columns for which the destination has a default.
    pub fn defaulted(&self) -> Vec<usize> {
        let columns = self.written_columns.iter().enumerate();
        columns
            .filter(|(_, written)| written.as_ref().is_some_and(|w| w.column.has_default))
            .map(|(number, _)| number)
            .collect()
    }

    /// Returns `written_columns` without the format's columns `absent`, as if the destination
    /// lacked them.
    pub fn written_columns_without(&self, absent: &[usize]) -> Vec<Option<WrittenColumn>> {
        let columns = self.written_columns.iter().enumerate();
        columns
            .map(|(number, written)| written.clone().filter(|_| !absent.contains(&number)))
            .collect()
    }
}

/// The COPY into one destination.
#[derive(Debug)]
pub struct CopyTarget {
    /// The complete statement.
    pub statement: CString,
    /// The conversion of rows into COPY data.
    pub format: CopyFormat,
    /// The order of the rows; `None` for that of arrival.
    pub sort: Option<SortKey>,
}
