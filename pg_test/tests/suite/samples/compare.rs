//! Compares a row with the expected one, column by column.

use pg_test::postgres::Postgres;
use serde_json::Value;

/// In place of a time: some time during the test.
pub const NOW: &str = "<now>";
/// In place of an id: sixteen lower-case hexadecimal digits.
pub const HEX16: &str = "<16 hex digits>";

/// Panics unless each column is as wanted. Columns that are not mentioned are wanted NULL, but for
/// `created_at`, which the table fills.
pub async fn assert_row(pg: &Postgres, name: &str, found: &Value, wanted: &Value) {
    let (found, wanted) = (found.as_object().unwrap(), wanted.as_object().unwrap());
    for column in wanted.keys() {
        assert!(
            found.contains_key(column),
            "{name}: there is no column {column}"
        );
    }
    for (column, value) in found {
        let equal = match wanted.get(column) {
            None if column == "created_at" => value.is_null() || is_now(pg, value).await,
            None => value.is_null(),
            Some(Value::String(text)) if text == NOW => is_now(pg, value).await,
            Some(Value::String(text)) if text == HEX16 => is_hex16(value),
            Some(wanted) => same(value, wanted),
        };
        assert!(
            equal,
            "{name}: {column} is {value}, wanted {:?}",
            wanted.get(column)
        );
    }
}

/// Equal, where a number is the same number with or without a decimal point.
fn same(found: &Value, wanted: &Value) -> bool {
    match (
        found.as_i64(),
        wanted.as_i64(),
        found.as_f64(),
        wanted.as_f64(),
    ) {
        (Some(found), Some(wanted), ..) => found == wanted,
        (_, _, Some(found), Some(wanted)) => found == wanted,
        _ => found == wanted,
    }
}

fn is_hex16(value: &Value) -> bool {
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    value
        .as_str()
        .is_some_and(|text| text.len() == 16 && text.chars().all(hex))
}

async fn is_now(pg: &Postgres, value: &Value) -> bool {
    let sql = "SELECT $1::text::timestamptz BETWEEN now() - interval '3 min'
                                                AND now() + interval '3 s'";
    match value.as_str() {
        Some(text) => pg.query_one(sql, &[&text]).await.get(0),
        None => false,
    }
}
