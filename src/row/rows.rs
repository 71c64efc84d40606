//! Encoded rows in one buffer per table. Rows are only appended, or cut off at the end, so that a
//! message whose decoding fails half-way leaves nothing behind.

use crate::cell::{ABSENT, NULL};
use crate::{Cell, Kind, Table, Timestamp};
use std::sync::Arc;

/// Rows of one table. Each row consists of the encoded cells of all columns, in order.
#[derive(Debug)]
pub struct Rows {
    table: Arc<Table>,
    /// Index of the time column; `None` if the table has no such column.
    time: Option<usize>,
    bytes: Vec<u8>,
    /// End of each finished row, as an offset in `bytes`.
    ends: Vec<usize>,
    /// Number of cells in the row being built.
    open: usize,
    /// Time of the row being built, once its time column has a value.
    open_time: Option<Timestamp>,
    /// Number of rows at the last [`RowSet::mark`].
    mark: usize,
    /// True once an absent cell was appended.
    has_absent: bool,
}

impl Rows {
    /// Creates an empty buffer for rows of `table`.
    pub fn new(table: Arc<Table>) -> Self {
        Self {
            time: table.position(&table.time),
            table,
            bytes: Vec::new(),
            ends: Vec::new(),
            open: 0,
            open_time: None,
            mark: 0,
            has_absent: false,
        }
    }

    /// Returns an empty buffer for rows of the same table.
    pub(crate) fn successor(&self) -> Self {
        Self::new(self.table.clone())
    }

    /// Returns the table that these rows are for.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the number of finished rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no finished row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns whether a cell may be absent. If not, rows can be written unchanged.
    pub fn has_absent(&self) -> bool {
        self.has_absent
    }

    /// Returns the bytes that the rows take in memory.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    /// Appends the next column's cell to the row being built.
    #[inline]
    pub fn push(&mut self, cell: Cell<'_>) {
        debug_assert!(
            self.table
                .columns
                .get(self.open)
                .is_some_and(|c| cell.fits(c.kind)),
            "cell {} of {} does not fit: {cell:?}",
            self.open,
            self.table.name
        );
        match cell {
            Cell::Absent => self.has_absent = true,
            Cell::Timestamp(time) if self.time == Some(self.open) => self.open_time = Some(time),
            _ => {}
        }
        cell.encode(&mut self.bytes);
        self.open += 1;
    }

    /// Finishes the row being built, and returns its time if it has one.
    pub fn end_row(&mut self) -> Option<Timestamp> {
        debug_assert_eq!(
            self.open,
            self.table.columns.len(),
            "row of {} is short",
            self.table.name
        );
        self.ends.push(self.bytes.len());
        self.open = 0;
        self.open_time.take()
    }

    /// Removes the row being built, and every finished row from number `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
        self.open = 0;
        self.open_time = None;
    }

    /// Returns row number `index`.
    pub fn get(&self, index: usize) -> Option<Row<'_>> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)?,
            None => 0,
        };
        Some(Row {
            table: &self.table,
            bytes: self.bytes.get(start..end)?,
        })
    }

    /// Returns the rows of a range, in order.
    pub fn range(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = Row<'_>> {
        range.filter_map(|index| self.get(index))
    }
}

/// An encoded cell without its length word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded<'a> {
    /// A value.
    Value(&'a [u8]),
    /// SQL's NULL.
    Null,
    /// [`Cell::Absent`].
    Absent,
}

impl<'a> Encoded<'a> {
    /// Returns the bytes of a value; `None` for NULL and absent cells.
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            Encoded::Value(bytes) => Some(bytes),
            Encoded::Null | Encoded::Absent => None,
        }
    }
}

/// One finished row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    table: &'a Table,
    bytes: &'a [u8],
}

impl<'a> Row<'a> {
    /// Returns the encoded cells: the fields of a row in PostgreSQL's binary COPY format, for the
    /// columns' natural types.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the encoded values in column order, without their length words.
    pub fn fields(self) -> impl Iterator<Item = Encoded<'a>> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (word, behind) = rest.split_first_chunk()?;
            let length = i32::from_be_bytes(*word);
            let (value, behind) = behind.split_at_checked(usize::try_from(length).unwrap_or(0))?;
            rest = behind;
            Some(match length {
                NULL => Encoded::Null,
                ABSENT => Encoded::Absent,
                _ => Encoded::Value(value),
            })
        })
    }

    /// Returns the cells in column order.
    pub fn cells(self) -> impl Iterator<Item = Cell<'a>> {
        let mut rest = self.bytes;
        let kinds = self.table.columns.iter().map(|c| c.kind);
        kinds.map_while(move |kind: Kind| Cell::decode(kind, &mut rest))
    }
}

/// Rows of all tables that one format writes, in the format's order of tables.
#[derive(Debug)]
pub struct RowSet {
    tables: Vec<Rows>,
}

impl RowSet {
    /// Creates an empty set for these tables.
    pub fn new(tables: &[Arc<Table>]) -> Self {
        Self {
            tables: tables.iter().cloned().map(Rows::new).collect(),
        }
    }

    /// Returns an empty set for the same tables.
    pub fn successor(&self) -> Self {
        Self {
            tables: self.tables.iter().map(Rows::successor).collect(),
        }
    }

    /// Returns the rows of each table.
    pub fn tables(&self) -> &[Rows] {
        &self.tables
    }

    /// Returns the rows of the format's table number `index`, to append to.
    pub fn table_mut(&mut self, index: usize) -> Option<&mut Rows> {
        self.tables.get_mut(index)
    }

    /// Returns the bytes that all rows take in memory.
    pub fn size(&self) -> usize {
        self.tables.iter().map(Rows::size).sum()
    }

    /// Returns the number of finished rows in all tables.
    pub fn len(&self) -> usize {
        self.tables.iter().map(Rows::len).sum()
    }

    /// Returns whether no table has a finished row.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Rows::is_empty)
    }

    /// Marks the current end of all tables, for [`RowSet::roll_back`].
    pub fn mark(&mut self) {
        for rows in &mut self.tables {
            rows.mark = rows.len();
        }
    }

    /// Removes everything that was appended since the last [`RowSet::mark`].
    pub fn roll_back(&mut self) {
        for rows in &mut self.tables {
            rows.truncate(rows.mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    fn table() -> Arc<Table> {
        let columns = vec![
            Column::required("at", Kind::Timestamp),
            Column::optional("name", Kind::Text),
            Column::optional("tags", Kind::Json),
            Column::optional("n", Kind::Int4),
            Column::optional("big", Kind::Int8),
            Column::optional("x", Kind::Float8),
            Column::optional("ok", Kind::Bool),
        ];
        Arc::new(Table::new("t", columns, "at"))
    }

    /// Returns a table whose time column is the second of three columns of times.
    fn times() -> Arc<Table> {
        let columns = ["before", "at", "behind"];
        let columns = columns.map(|name| Column::optional(name, Kind::Timestamp));
        Arc::new(Table::new("t", columns.into(), "at"))
    }

    fn cells(n: i32) -> [Cell<'static>; 7] {
        [
            Cell::Timestamp(Timestamp::from_postgres_micros(i64::from(n)).unwrap()),
            Cell::Text("größe"),
            Cell::Json("{\"a\":1}"),
            Cell::Int4(n),
            Cell::Int8(-1),
            Cell::Float8(0.5),
            Cell::Null,
        ]
    }

    fn append(rows: &mut Rows, n: i32) -> Option<Timestamp> {
        cells(n).into_iter().for_each(|cell| rows.push(cell));
        rows.end_row()
    }

    #[test]
    fn rows_read_back_as_they_were_written() {
        let mut rows = Rows::new(table());
        append(&mut rows, 1);
        append(&mut rows, 2);
        let second: Vec<_> = rows.get(1).unwrap().cells().collect();
        assert_eq!(second, cells(2));
        assert_eq!(rows.range(0..2).count(), 2);
        assert!(rows.get(2).is_none());
    }

    #[test]
    fn an_empty_text_is_a_value() {
        let columns = vec![Column::optional("name", Kind::Text)];
        let mut rows = Rows::new(Arc::new(Table::new("t", columns, "at")));
        rows.push(Cell::Text(""));
        rows.end_row();
        let cells: Vec<_> = rows.get(0).unwrap().cells().collect();
        assert_eq!(cells, [Cell::Text("")]);
    }

    #[test]
    fn a_half_built_row_leaves_nothing_behind() {
        let mut set = RowSet::new(&[table()]);
        append(set.table_mut(0).unwrap(), 1);
        set.mark();
        append(set.table_mut(0).unwrap(), 2);
        set.table_mut(0).unwrap().push(cells(3)[0]);
        set.roll_back();
        append(set.table_mut(0).unwrap(), 4);
        let rows = &set.tables()[0];
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.get(1).unwrap().cells().collect::<Vec<_>>(), cells(4));
    }

    #[test]
    fn rows_are_empty_until_one_is_finished_in_any_table() {
        let mut set = RowSet::new(&[table(), table()]);
        let rows = set.table_mut(1).unwrap();
        rows.push(cells(1)[0]);
        assert!(rows.is_empty() && set.is_empty());
        let rows = set.table_mut(1).unwrap();
        cells(1)[1..].iter().for_each(|cell| rows.push(*cell));
        rows.end_row();
        assert!(!rows.is_empty() && !set.is_empty());
    }

    #[test]
    fn length_and_size_count_the_rows_of_all_tables() {
        let mut set = RowSet::new(&[table(), table()]);
        assert_eq!(set.size(), 0);
        append(set.table_mut(0).unwrap(), 1);
        append(set.table_mut(0).unwrap(), 2);
        append(set.table_mut(1).unwrap(), 3);
        let row = set.tables()[0].get(0).unwrap().bytes().len();
        assert_eq!(set.tables()[0].size(), 2 * row + 2 * size_of::<usize>());
        assert_eq!(set.size(), 3 * row + 3 * size_of::<usize>());
        assert_eq!(set.len(), 3);
    }

    #[test]
    fn the_time_of_a_row_is_that_of_its_own_time_column() {
        let mut set = RowSet::new(&[times()]);
        let mut end = |cells: [Cell<'_>; 3]| {
            let rows = set.table_mut(0).unwrap();
            cells.into_iter().for_each(|cell| rows.push(cell));
            rows.end_row()
        };
        let [first, second, third] = [1, 2, 3].map(Timestamp::from_postgres_micros);
        let [a, b, c] = [first, second, third].map(|time| Cell::Timestamp(time.unwrap()));
        assert_eq!(end([a, b, c]), second);
        assert_eq!(end([a, Cell::Null, c]), None);
        assert_eq!(end([c, a, b]), first);
        assert_eq!(end([a, Cell::Absent, c]), None);
    }

    #[test]
    fn a_row_that_was_removed_leaves_no_time_to_the_next() {
        let mut set = RowSet::new(&[times()]);
        set.mark();
        let rows = set.table_mut(0).unwrap();
        rows.push(Cell::Null);
        rows.push(Cell::Timestamp(Timestamp::default()));
        set.roll_back();
        let rows = set.table_mut(0).unwrap();
        [Cell::Null; 3].into_iter().for_each(|cell| rows.push(cell));
        assert_eq!(rows.end_row(), None);
    }

    #[test]
    fn json_carries_the_version_byte_that_copy_wants() {
        let mut bytes = Vec::new();
        Cell::Json("{}").encode(&mut bytes);
        assert_eq!(bytes, [0, 0, 0, 3, 1, b'{', b'}']);
    }
}
