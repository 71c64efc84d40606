//! Rows of one table from several buffers, and their division into groups with the same absent
//! columns, because a statement gives all its rows the same columns.

use crate::{Cell, Encoded, Row, Rows};
use std::collections::HashMap;
use std::ops::Range;

/// Rows of one table, taken from several buffers, in order.
#[derive(Clone, Debug, Default)]
pub struct RowSlices<'a> {
    slices: Vec<(&'a Rows, Range<usize>)>,
}

/// Rows in which the same columns are absent.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// Indexes of the columns that are absent in all of them, in ascending order.
    pub absent: Vec<usize>,
    /// The rows, in order.
    pub rows: Vec<Row<'a>>,
}

impl<'a> RowSlices<'a> {
    /// Takes all rows of one buffer.
    pub fn all(rows: &'a Rows) -> Self {
        let mut all = Self::default();
        all.add(rows, 0..rows.len());
        all
    }

    /// Appends the rows `range` of another buffer.
    pub fn add(&mut self, rows: &'a Rows, range: Range<usize>) {
        self.slices.push((rows, range));
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.slices.iter().map(|(_, range)| range.len()).sum()
    }

    /// Returns whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'a>> {
        let slices = self.slices.iter();
        slices.flat_map(|&(rows, ref range)| rows.range(range.clone()))
    }

    /// Returns whether a cell may be absent.
    pub fn has_absent(&self) -> bool {
        self.slices.iter().any(|(rows, _)| rows.has_absent())
    }

    /// Returns a copy of the rows in which every NULL is absent, or `None` when there are no rows.
    /// It is used by tests of rows with absent cells, since no format leaves a cell out yet.
    pub fn with_nulls_absent(&self) -> Option<Rows> {
        let (first, _) = self.slices.first()?;
        let mut rows = first.successor();
        for row in self.iter() {
            for cell in row.cells() {
                rows.push(match cell {
                    Cell::Null => Cell::Absent,
                    cell => cell,
                });
            }
            rows.end_row();
        }
        Some(rows)
    }

    /// Groups the rows by which of the columns `defaulted` are absent in them. This changes the
    /// order between rows of different groups.
    pub fn groups(&self, defaulted: &[usize]) -> Vec<Group<'a>> {
        let mut indexes: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut groups: Vec<Group<'a>> = Vec::new();
        for row in self.iter() {
            let absent = absent_of(row, defaulted);
            let index = *indexes.entry(absent.clone()).or_insert(groups.len());
            match groups.get_mut(index) {
                Some(group) => group.rows.push(row),
                None => groups.push(Group::begin(absent, row)),
            }
        }
        groups
    }

    /// Splits the rows wherever it changes which of the columns `defaulted` are absent. This keeps
    /// the order of all rows.
    pub fn consecutive_groups(&self, defaulted: &[usize]) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for row in self.iter() {
            let absent = absent_of(row, defaulted);
            match groups.last_mut() {
                Some(open) if open.absent == absent => open.rows.push(row),
                _ => groups.push(Group::begin(absent, row)),
            }
        }
        groups
    }
}

impl<'a> Group<'a> {
    /// Creates a group of one row.
    fn begin(absent: Vec<usize>, row: Row<'a>) -> Self {
        Self {
            absent,
            rows: vec![row],
        }
    }
}

/// Returns the indexes of the columns in `defaulted` that are absent in the row.
fn absent_of(row: Row<'_>, defaulted: &[usize]) -> Vec<usize> {
    let fields = row.fields().enumerate();
    let absent =
        fields.filter(|(number, field)| *field == Encoded::Absent && defaulted.contains(number));
    absent.map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Kind, Table};
    use std::sync::Arc;

    /// Creates rows with the columns n (the row's number), a and b. A letter in `absent` makes that
    /// column absent.
    fn rows(absent: &[&str]) -> Rows {
        let columns = ["n", "a", "b"].map(|name| Column::optional(name, Kind::Int4));
        let mut rows = Rows::new(Arc::new(Table::new("t", columns.to_vec(), "n")));
        for (n, absent) in (0..).zip(absent) {
            rows.push(Cell::Int4(n));
            for column in ["a", "b"] {
                rows.push(match absent.contains(column) {
                    true => Cell::Absent,
                    false => Cell::Null,
                });
            }
            rows.end_row();
        }
        rows
    }

    fn numbers(groups: Vec<Group<'_>>) -> Vec<(Vec<usize>, Vec<i32>)> {
        let number = |row: &Row<'_>| match row.cells().next() {
            Some(Cell::Int4(n)) => n,
            other => panic!("{other:?}"),
        };
        let of_group = |group: Group<'_>| (group.absent, group.rows.iter().map(number).collect());
        groups.into_iter().map(of_group).collect()
    }

    #[test]
    fn rows_that_lack_the_same_columns_come_together() {
        let rows = rows(&["", "a", "", "ab", "a", "b"]);
        let groups = RowSlices::all(&rows).groups(&[1, 2]);
        let expected = [
            (vec![], vec![0, 2]),
            (vec![1], vec![1, 4]),
            (vec![1, 2], vec![3]),
            (vec![2], vec![5]),
        ];
        assert_eq!(numbers(groups), expected);
    }

    #[test]
    fn a_column_without_a_default_makes_no_group() {
        let rows = rows(&["", "a", "b", "ab"]);
        let groups = RowSlices::all(&rows).groups(&[2]);
        assert_eq!(
            numbers(groups),
            [(vec![], vec![0, 1]), (vec![2], vec![2, 3])]
        );
    }

    #[test]
    fn in_a_copy_every_null_is_absent_and_every_value_stays() {
        let rows = rows(&["", "a"]);
        let copy = RowSlices::all(&rows).with_nulls_absent().unwrap();
        let cells = |n| copy.get(n).unwrap().cells().collect::<Vec<_>>();
        assert_eq!(cells(0), [Cell::Int4(0), Cell::Absent, Cell::Absent]);
        assert_eq!(cells(1), [Cell::Int4(1), Cell::Absent, Cell::Absent]);
        assert!(RowSlices::default().with_nulls_absent().is_none());
    }

    #[test]
    fn consecutive_groups_keep_the_order() {
        let rows = rows(&["", "", "a", "", "a", "a"]);
        let expected = [
            (vec![], vec![0, 1]),
            (vec![1], vec![2]),
            (vec![], vec![3]),
            (vec![1], vec![4, 5]),
        ];
        assert_eq!(
            numbers(RowSlices::all(&rows).consecutive_groups(&[1, 2])),
            expected
        );
    }

    #[test]
    fn rows_come_from_several_buffers() {
        let (first, second) = (rows(&["", "", ""]), rows(&["a"]));
        let mut slices = RowSlices::default();
        assert!(slices.is_empty());
        slices.add(&first, 1..3);
        assert!(!slices.is_empty());
        assert!(!slices.has_absent());
        slices.add(&second, 0..1);
        assert_eq!((slices.len(), slices.has_absent()), (3, true));
        let all = numbers(slices.consecutive_groups(&[]));
        assert_eq!(all, [(vec![], vec![1, 2, 0])]);
    }
}
