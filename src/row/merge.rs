//! Merges rows of one batch that share a key, where a later row updates an earlier one. `INSERT …
//! ON CONFLICT DO UPDATE` may affect a row only once in a statement, so such rows become one row,
//! with the values that writing them one after the other would have given.

use crate::{Cell, Conflict, Row, Table};
use std::collections::HashMap;

/// A row, and the last row with the same key, which supplies the updated columns.
#[derive(Clone, Copy, Debug)]
pub struct Merged<'a> {
    first: Row<'a>,
    last: Option<Row<'a>>,
}

impl<'a> Merged<'a> {
    /// Creates one from a single row.
    pub fn alone(row: Row<'a>) -> Self {
        Self {
            first: row,
            last: None,
        }
    }

    /// Replaces the content of `out` with the cells, in column order.
    pub fn cells(self, table: &Table, out: &mut Vec<Cell<'a>>) {
        out.clear();
        out.extend(self.first.cells());
        let (Some(last), Conflict::Update { columns, .. }) = (self.last, &table.conflict) else {
            return;
        };
        for ((cell, new), column) in out.iter_mut().zip(last.cells()).zip(&table.columns) {
            if columns.contains(&column.name) {
                *cell = new;
            }
        }
    }
}

/// Merges rows that have the same value in the key of [`Conflict::Update`]. Each takes the place of
/// the first of them. Tables without such a conflict rule keep all rows.
pub fn merge<'a>(table: &Table, rows: impl Iterator<Item = Row<'a>>) -> Vec<Merged<'a>> {
    let Conflict::Update { key, .. } = &table.conflict else {
        return rows.map(Merged::alone).collect();
    };
    let is_key: Vec<bool> = table
        .columns
        .iter()
        .map(|c| key.contains(&c.name))
        .collect();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut merged: Vec<Merged<'a>> = Vec::new();
    for row in rows {
        let mut bytes = Vec::new();
        let mut is_known = true;
        for (cell, _) in row.cells().zip(&is_key).filter(|&(_, &is_key)| is_key) {
            is_known &= cell != Cell::Absent;
            cell.encode(&mut bytes);
        }
        // A default can give each row another value, so these keys may differ.
        if !is_known {
            merged.push(Merged::alone(row));
            continue;
        }
        let place = *places.entry(bytes).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(known) => known.last = Some(row),
            None => merged.push(Merged::alone(row)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Kind, Rows};
    use std::sync::Arc;

    fn table() -> Table {
        let columns = vec![
            Column::required("id", Kind::Text),
            Column::optional("host", Kind::Text),
            Column::optional("level", Kind::Int4),
        ];
        Table::new("t", columns, "id").updating(&["id"], &["level"])
    }

    fn rows(cells: &[[Cell<'_>; 3]]) -> Rows {
        let mut rows = Rows::new(Arc::new(table()));
        for row in cells {
            row.iter().for_each(|&cell| rows.push(cell));
            rows.end_row();
        }
        rows
    }

    #[test]
    fn a_later_row_gives_only_its_updated_columns() {
        let rows = rows(&[
            [Cell::Text("a"), Cell::Text("h1"), Cell::Int4(1)],
            [Cell::Text("b"), Cell::Null, Cell::Int4(2)],
            [Cell::Text("a"), Cell::Text("h2"), Cell::Int4(3)],
            [Cell::Text("a"), Cell::Null, Cell::Null],
        ]);
        let merged = merge(rows.table(), rows.range(0..4));
        let mut cells = Vec::new();
        let mut read = |n: usize| {
            merged[n].cells(rows.table(), &mut cells);
            cells.clone()
        };
        assert_eq!(merged.len(), 2);
        assert_eq!(read(0), [Cell::Text("a"), Cell::Text("h1"), Cell::Null]);
        assert_eq!(read(1), [Cell::Text("b"), Cell::Null, Cell::Int4(2)]);
    }

    #[test]
    fn rows_whose_key_is_left_to_a_default_are_not_merged() {
        let row = [Cell::Absent, Cell::Null, Cell::Int4(1)];
        let rows = rows(&[row, row]);
        assert_eq!(merge(rows.table(), rows.range(0..2)).len(), 2);
    }
}
