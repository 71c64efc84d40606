//! The statements that write into one destination, as SQL text.

use super::target::{CopyTarget, OnConflict, TableColumn, WrittenColumn};
use crate::pg::failure::Failure;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use row::{Column, CopyField, CopyFormat, Kind, SortKey, Table};
use std::ffi::{CStr, CString};

/// The relation name under which the INSERT sees the rows of a batch.
pub const BATCH: &CStr = c"sr_event_writer_batch";

/// Returns the name of the batch's column number `number`.
pub fn batch_column(number: usize) -> String {
    format!("c{number}")
}

/// Returns the INSERT statement of a batch.
///
/// # Errors
/// When a name contains a NUL byte.
pub fn insert(
    qualified: &str,
    written_columns: &[Option<WrittenColumn>],
    conflict: &OnConflict,
) -> Result<CString, Failure> {
    let list = |part: fn(&WrittenColumn) -> String| {
        let parts = written_columns.iter().flatten().map(part);
        parts.collect::<Vec<_>>().join(", ")
    };
    let names = list(|written| quote_identifier(&written.column.name));
    let values = list(|written| written.expression.clone());
    let on_conflict = match conflict {
        OnConflict::Never => String::new(),
        OnConflict::Nothing => " ON CONFLICT DO NOTHING".to_owned(),
        OnConflict::Update { key, columns } => update_clause(key, columns, written_columns),
    };
    let batch = BATCH.to_string_lossy();
    c_string(format!(
        "INSERT INTO {qualified} ({names}) SELECT {values} FROM {batch} b{on_conflict}"
    ))
}

/// Returns the ON CONFLICT clause that updates those of `columns` that the destination has; if it
/// has none of them, rows with a duplicate key are skipped.
fn update_clause(
    key: &[String],
    columns: &[String],
    written_columns: &[Option<WrittenColumn>],
) -> String {
    let mut sets = Vec::new();
    let is_written = |name: &&String| {
        let mut written = written_columns.iter().flatten();
        written.any(|written| written.column.name == **name)
    };
    for column in columns.iter().filter(is_written) {
        let name = quote_identifier(column);
        sets.push(format!("{name} = EXCLUDED.{name}"));
    }
    if sets.is_empty() {
        return " ON CONFLICT DO NOTHING".to_owned();
    }
    let key: Vec<_> = key.iter().map(quote_identifier).collect();
    format!(
        " ON CONFLICT ({}) DO UPDATE SET {}",
        key.join(", "),
        sets.join(", ")
    )
}

/// Returns the expression to write to a column. Text is cast explicitly to types that are not
/// strings. Everything else is left to assignment, which refuses a value that is too long, where an
/// explicit cast would truncate it.
pub fn expression(number: usize, column: &Column, found: &TableColumn) -> String {
    let name = batch_column(number);
    match column.kind {
        Kind::Text | Kind::Json if !found.is_string => {
            format!("CAST(b.{name} AS {})", found.type_name)
        }
        _ => format!("b.{name}"),
    }
}

/// Returns the COPY statement of a batch, or `None` where a cell would need a cast: COPY gives the
/// same rows only where the encoding of every cell is that of its column's type.
///
/// # Errors
/// When a name contains a NUL byte.
pub fn copy_target(
    table: &Table,
    qualified: &str,
    written_columns: &[Option<WrittenColumn>],
    sort: Option<SortKey>,
) -> Result<Option<CopyTarget>, Failure> {
    let mut fields = Vec::new();
    for (column, written) in table.columns.iter().zip(written_columns) {
        let field = written
            .as_ref()
            .map(|written| field(column.kind, written.column.type_oid));
        match field {
            None => fields.push(CopyField::Omit),
            Some(Some(field)) => fields.push(field),
            Some(None) => return Ok(None),
        }
    }
    let names = written_columns.iter().flatten();
    let names: Vec<_> = names
        .map(|written| quote_identifier(&written.column.name))
        .collect();
    let names = names.join(", ");
    let statement = format!("COPY {qualified} ({names}) FROM STDIN (FORMAT binary)");
    Ok(Some(CopyTarget {
        statement: c_string(statement)?,
        format: CopyFormat::new(fields),
        sort,
    }))
}

/// Returns how cells of this kind are copied to a column of this type; `None` if they would need a
/// cast.
fn field(kind: Kind, column: pg_sys::Oid) -> Option<CopyField> {
    let is_text = matches!(column, pg_sys::TEXTOID | pg_sys::VARCHAROID);
    match (kind, column) {
        (Kind::Text, _) if is_text => Some(CopyField::Unchanged),
        (Kind::Json, _) if is_text => Some(CopyField::JsonAsText),
        (Kind::Json, pg_sys::JSONBOID)
        | (Kind::Timestamp, pg_sys::TIMESTAMPTZOID)
        | (Kind::Int4, pg_sys::INT4OID)
        | (Kind::Int8, pg_sys::INT8OID)
        | (Kind::Float8, pg_sys::FLOAT8OID)
        | (Kind::Bool, pg_sys::BOOLOID) => Some(CopyField::Unchanged),
        _ => None,
    }
}

fn c_string(text: String) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::schema("a column name holds a NUL byte"))
}
