//! For tests: rows as text. Values are compared by what a reader of formats.md sees, a timestamp
//! that stands for "now" as `now`.

use row::{Cell, RowSet, Timestamp};

use crate::{Message, Window, decode_message, format};

/// A message with a fixed place and time.
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

/// When that message was published.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_micros(1_767_225_600_000_001).unwrap()
}

type Row = Vec<(&'static str, String)>;

/// The rows of a message, without their NULLs.
pub(crate) fn rows_of(name: &str, message: &Message<'_>) -> Result<Vec<Row>, String> {
    let format = format(name).unwrap();
    let mut out = RowSet::new(format.tables());
    decode_message(format, message, &mut out).map_err(|reject| reject.to_string())?;
    let rows = &out.tables()[0];
    let columns = rows.table().columns;
    let named = |row: row::Row<'_>| {
        assert_eq!(row.cells().count(), columns.len(), "cells of a row");
        let cells = columns.iter().zip(row.cells());
        cells
            .filter_map(|(column, cell)| Some((column.name, render(cell)?)))
            .collect()
    };
    Ok(rows.range(0..rows.len()).map(named).collect())
}

/// The rows of a payload, without their NULLs.
pub(crate) fn rows(name: &str, payload: &str) -> Result<Vec<Row>, String> {
    rows_of(name, &message(payload.as_bytes()))
}

/// Asserts that a payload gives one row, and every value of it that is not NULL.
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

/// One value of the only row of a payload; `None` for NULL.
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

/// Why a payload is rejected.
#[track_caller]
pub(crate) fn reject(name: &str, payload: &str) -> String {
    rows(name, payload).unwrap_err()
}

fn render(cell: Cell<'_>) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
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
    // Larger numbers speedate takes for milliseconds.
    if seconds.abs() > 20_000_000_000 {
        return format!("second {seconds}");
    }
    let date = speedate::DateTime::from_timestamp(seconds, 0).unwrap();
    format!("{date}.{micros:06}")
}
