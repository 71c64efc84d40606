//! The order in which rows are written. Rows arrive in order of time, so their entries in an index
//! that does not begin with the time would be spread over all of it. Sorted by that index's first
//! column, neighbouring rows go to the same index pages, which are then in the CPU's caches.

use crate::{Row, Table};

/// Microseconds of an interval (one hour) whose rows stay together, since they belong to one chunk.
const INTERVAL_MICROS: i64 = 3_600_000_000;

/// The columns that rows of one table are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// Index of the time column.
    time: usize,
    /// Index of the column that the database index begins with.
    column: usize,
}

impl SortKey {
    /// Creates a key that sorts by the column of a table called `column`. Returns `None` for the
    /// time column, since rows arrive in its order, and when the table has no such column.
    pub fn new(table: &Table, column: &str) -> Option<Self> {
        let time = table.position(&table.time)?;
        let column = table.position(column)?;
        (column != time).then_some(Self { time, column })
    }

    /// Sorts rows by interval and column. Rows with equal keys keep their order of arrival.
    pub fn sort(self, rows: &mut Vec<Row<'_>>) {
        let mut keyed: Vec<_> = rows.drain(..).map(|row| (self.key(row), row)).collect();
        keyed.sort_by_key(|(key, _)| *key);
        rows.extend(keyed.into_iter().map(|(_, row)| row));
    }

    /// Returns a row's interval and the encoded value of its column. Encoded values are compared as
    /// bytes, which is not the index's order for every type and collation. But equal values come
    /// together, and no more is needed.
    fn key(self, row: Row<'_>) -> (i64, &[u8]) {
        let field = |number| row.fields().nth(number)?.value();
        let time = field(self.time).and_then(|bytes| bytes.try_into().ok());
        let interval = time.map_or(0, |time| {
            i64::from_be_bytes(time).div_euclid(INTERVAL_MICROS)
        });
        (interval, field(self.column).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Column, Kind, Rows, Timestamp};
    use std::sync::Arc;

    fn table() -> Table {
        let columns = vec![
            Column::required("at", Kind::Timestamp),
            Column::optional("device", Kind::Text),
            Column::optional("n", Kind::Int4),
        ];
        Table::new("t", columns, "at")
    }

    fn sorted(cells: &[(i64, Option<&str>)]) -> Vec<i32> {
        let mut rows = Rows::new(Arc::new(table()));
        for (number, (minute, device)) in (0..).zip(cells) {
            let time = Timestamp::from_postgres_micros(minute * 60_000_000);
            rows.push(Cell::Timestamp(time.unwrap()));
            rows.push(device.map_or(Cell::Null, Cell::Text));
            rows.push(Cell::Int4(number));
            rows.end_row();
        }
        let mut rows: Vec<_> = rows.range(0..cells.len()).collect();
        SortKey::new(&table(), "device").unwrap().sort(&mut rows);
        let number = |row: Row<'_>| match row.cells().last() {
            Some(Cell::Int4(number)) => number,
            other => panic!("{other:?}"),
        };
        rows.into_iter().map(number).collect()
    }

    #[test]
    fn rows_of_one_key_come_together_in_the_order_of_their_arrival() {
        let rows = [
            (0, Some("b")),
            (1, Some("a")),
            (2, None),
            (3, Some("b")),
            (4, Some("a")),
        ];
        assert_eq!(sorted(&rows), [2, 1, 4, 0, 3]);
    }

    #[test]
    fn rows_of_different_hours_are_not_mixed() {
        let rows = [
            (61, Some("a")),
            (59, Some("b")),
            (-1, Some("c")),
            (62, Some("a")),
            (58, Some("a")),
        ];
        assert_eq!(sorted(&rows), [2, 4, 1, 0, 3]);
    }

    #[test]
    fn rows_come_sorted_by_time() {
        assert_eq!(SortKey::new(&table(), "at"), None);
        assert_eq!(SortKey::new(&table(), "other"), None);
    }
}
