//! The decoders as an SQL function, to see the rows of a payload. It touches no table and no
//! stream.

use crate::error::{UserError, or_raise};
use crate::pg::clock;
use pgrx::JsonB;
use pgrx::prelude::*;
use row::{Cell, Row, RowSet, Table, Timestamp};
use serde_json::{Map, Value, json};

/// Returns the rows of a payload, each with the name of its table.
#[pg_extern]
fn sr_event_writer_decode(
    processor: &str,
    payload: &[u8],
    subject: default!(&str, "''"),
) -> TableIterator<'static, (name!(table_name, String), name!(row, JsonB))> {
    let rows = or_raise(decode_payload(processor, payload, subject));
    let objects = rows.tables().iter().flat_map(|rows| {
        let table = rows.table();
        rows.range(0..rows.len())
            .map(move |row| (table.name.clone(), JsonB(object(table, row))))
    });
    TableIterator::new(objects.collect::<Vec<_>>())
}

/// Decodes a payload as a message that is published now.
fn decode_payload(processor: &str, payload: &[u8], subject: &str) -> Result<RowSet, UserError> {
    let unknown = || UserError::UnknownProcessor(processor.to_owned());
    let format = decode::format(processor).ok_or_else(unknown)?;
    let message = decode::Message {
        subject,
        payload,
        stream: "",
        sequence: 0,
        published: Timestamp::from_postgres_micros(clock::now()).unwrap_or_default(),
        window: decode::Window::default(),
    };
    let mut rows = RowSet::new(format.tables());
    decode::decode_message(&**format, &message, &mut rows).map_err(UserError::Undecodable)?;
    Ok(rows)
}

/// Returns a row as a JSON object.
fn object(table: &Table, row: Row<'_>) -> Value {
    let names = table.columns.iter().map(|column| column.name.clone());
    let cells = names.zip(row.cells());
    let present = cells.filter(|(_, cell)| *cell != Cell::Absent);
    Value::Object(
        present
            .map(|(name, cell)| (name, value(cell)))
            .collect::<Map<_, _>>(),
    )
}

/// Returns a cell as a JSON value.
fn value(cell: Cell<'_>) -> Value {
    match cell {
        Cell::Null | Cell::Absent => Value::Null,
        Cell::Text(text) => Value::from(text),
        Cell::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        Cell::Timestamp(time) => {
            json!(TimestampWithTimeZone::try_from(time.postgres_micros()).ok())
        }
        Cell::Int4(value) => Value::from(value),
        Cell::Int8(value) => Value::from(value),
        Cell::Float8(value) => Value::from(value),
        Cell::Bool(value) => Value::from(value),
    }
}
