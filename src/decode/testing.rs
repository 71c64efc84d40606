//! Helpers for tests: rows as text, for comparison with the descriptions in docs/formats.md. A
//! timestamp that is the message's publish time is shown as `now`.

use std::sync::Arc;

use row::{Cell, RowSet, Rows, Table, Timestamp};

use crate::{Format, Message, Window, decode_message, format};

/// Returns a message with a fixed place and time.
pub(crate) fn message(payload: &[u8]) -> Message<'_> {
    Message {
        subject: "subject",
        payload,
        stream: "STREAM",
        sequence: 7,
        published: now(),
        window: Window::default(),
    }
}

/// Returns the publish time of that message.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_micros(1_767_225_600_000_001).unwrap()
}

/// A row as text: the name and value of each column that is not NULL.
type RenderedRow<'f> = Vec<(&'f str, String)>;

/// Returns the rows that a message gives in each of a format's tables, without their NULLs.
pub(crate) fn tables_of<'f>(
    format: &'f dyn Format,
    message: &Message<'_>,
) -> Result<Vec<Vec<RenderedRow<'f>>>, String> {
    let mut out = RowSet::new(format.tables());
    decode_message(format, message, &mut out).map_err(|reject| reject.to_string())?;
    let rows_of = |(table, rows): (&'f Arc<Table>, &Rows)| {
        let rows = rows.range(0..rows.len());
        rows.map(|row| named(table, row)).collect()
    };
    Ok(format
        .tables()
        .iter()
        .zip(out.tables())
        .map(rows_of)
        .collect())
}

fn named<'f>(table: &'f Table, row: row::Row<'_>) -> RenderedRow<'f> {
    assert_eq!(row.cells().count(), table.columns.len(), "cells of a row");
    let cells = table.columns.iter().zip(row.cells());
    cells
        .filter_map(|(column, cell)| Some((column.name.as_str(), render(cell)?)))
        .collect()
}

/// Returns the rows of a message, for a format with one table.
pub(crate) fn rows_of(
    name: &str,
    message: &Message<'_>,
) -> Result<Vec<RenderedRow<'static>>, String> {
    let tables = tables_of(&**format(name).unwrap(), message)?;
    let [rows] = <[_; 1]>::try_from(tables).unwrap();
    Ok(rows)
}

/// Returns the rows of a payload, without their NULLs.
pub(crate) fn rows(name: &str, payload: &str) -> Result<Vec<RenderedRow<'static>>, String> {
    rows_of(name, &message(payload.as_bytes()))
}

/// Asserts that a payload gives exactly one row, with exactly these values that are not NULL.
#[track_caller]
pub(crate) fn assert_row(name: &str, payload: &str, expected: &[(&str, &str)]) {
    let rows = rows(name, payload).unwrap();
    let [row] = rows.as_slice() else {
        panic!("{} rows", rows.len())
    };
    let row: Vec<_> = row
        .iter()
        .map(|(column, text)| (*column, text.as_str()))
        .collect();
    assert_eq!(row, expected);
}

/// Returns one value of a payload's only row; `None` for NULL.
#[track_caller]
pub(crate) fn cell(name: &str, payload: &str, column: &str) -> Option<String> {
    let rows = rows(name, payload).unwrap();
    let [row] = rows.as_slice() else {
        panic!("{} rows", rows.len())
    };
    row.iter()
        .find(|(name, _)| *name == column)
        .map(|(_, text)| text.clone())
}

/// Returns the reason why a payload is rejected.
#[track_caller]
pub(crate) fn reject(name: &str, payload: &str) -> String {
    rows(name, payload).unwrap_err()
}

fn render(cell: Cell<'_>) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Absent => "absent".to_owned(),
        Cell::Text(text) | Cell::Json(text) => text.to_owned(),
        Cell::Timestamp(time) if time == now() => "now".to_owned(),
        Cell::Timestamp(time) => render_time(time),
        Cell::Int4(value) => value.to_string(),
        Cell::Int8(value) => value.to_string(),
        Cell::Float8(value) => value.to_string(),
        Cell::Bool(value) => value.to_string(),
    })
}

fn render_time(time: Timestamp) -> String {
    let seconds = time.unix_micros().div_euclid(1_000_000);
    let micros = u32::try_from(time.unix_micros().rem_euclid(1_000_000)).unwrap();
    // speedate takes larger numbers for milliseconds.
    if seconds.abs() > 20_000_000_000 {
        return format!("second {seconds}");
    }
    let date = speedate::DateTime::from_timestamp(seconds, 0).unwrap();
    format!("{date}.{micros:06}")
}
