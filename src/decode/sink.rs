//! Receives the rows of a decoder. The time of each row is checked here when the row ends, so that
//! no format can forget it.

use row::{Cell, RowSet, Rows};

use crate::{Reject, Window};

/// Receives the rows of one message.
pub struct RowSink<'a> {
    rows: &'a mut RowSet,
    window: Window,
}

impl<'a> RowSink<'a> {
    /// Creates a sink that appends to `rows` and accepts times within `window`.
    pub(crate) fn new(rows: &'a mut RowSet, window: Window) -> Self {
        Self { rows, window }
    }

    /// Returns the sink of the format's table number `index`.
    ///
    /// # Errors
    ///
    /// When the format has no such table.
    pub fn table(&mut self, index: usize) -> Result<TableSink<'_>, Reject> {
        let rows = self.rows.table_mut(index);
        Ok(TableSink {
            rows: rows.ok_or_else(|| Reject::payload("no table to write to"))?,
            window: self.window,
        })
    }
}

/// Receives rows of one table.
pub struct TableSink<'a> {
    rows: &'a mut Rows,
    window: Window,
}

impl TableSink<'_> {
    /// Appends the next column's cell to the row being built.
    #[inline]
    pub fn push(&mut self, cell: Cell<'_>) {
        self.rows.push(cell);
    }

    /// Finishes the row being built.
    ///
    /// # Errors
    ///
    /// When its time is outside the window.
    pub fn end_row(&mut self) -> Result<(), Reject> {
        let time = self.rows.end_row();
        match time.and_then(|time| self.window.objection(time)) {
            Some(objection) => Err(Reject::field(&self.rows.table().time, objection)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use row::{Column, Kind, Table, Timestamp};

    use super::*;
    use crate::testing::{message, tables_of};
    use crate::{Format, Message};

    /// Decodes binary payloads: each byte is an hour, and an even one goes to the second table.
    struct Hours([Arc<Table>; 2]);

    fn hours() -> Hours {
        let columns = || {
            vec![
                Column::optional("hour", Kind::Int4),
                Column::required("at", Kind::Timestamp),
            ]
        };
        let table = |name| Arc::new(Table::new(name, columns(), "at"));
        Hours([table("odd"), table("even")])
    }

    impl Format for Hours {
        fn name(&self) -> &str {
            "Hours"
        }

        fn tables(&self) -> &[Arc<Table>] {
            &self.0
        }

        fn decode(&self, message: &Message<'_>, out: &mut RowSink<'_>) -> Result<(), Reject> {
            for &hour in message.payload {
                let mut rows = out.table(usize::from(hour % 2 == 0))?;
                rows.push(Cell::Int4(hour.into()));
                rows.push(Cell::Timestamp(at(hour)));
                rows.end_row()?;
            }
            Ok(())
        }
    }

    fn at(hour: u8) -> Timestamp {
        Timestamp::from_unix_seconds(i64::from(hour) * 3600).unwrap()
    }

    fn hours_of(payload: &[u8], window: Window) -> Result<[Vec<String>; 2], String> {
        let hours = hours();
        let message = Message {
            window,
            ..message(payload)
        };
        let tables = tables_of(&hours, &message)?;
        let hour = |row: Vec<(&str, String)>| row[0].1.clone();
        let of_table = |rows: Vec<_>| rows.into_iter().map(hour).collect();
        let tables: Vec<Vec<String>> = tables.into_iter().map(of_table).collect();
        Ok(tables.try_into().unwrap())
    }

    #[test]
    fn a_message_may_fill_several_tables() {
        let [odd, even] = hours_of(&[1, 255, 2, 3], Window::default()).unwrap();
        assert_eq!(
            (odd, even),
            (vec!["1".into(), "255".into(), "3".into()], vec!["2".into()])
        );
    }

    #[test]
    fn the_window_holds_for_every_table_and_every_kind_of_format() {
        let window = Window {
            oldest: Some(at(2)),
            newest: Some(at(4)),
        };
        assert!(hours_of(&[2, 3, 4], window).is_ok());
        for (hour, side) in [(1, "older than the oldest"), (6, "newer than the newest")] {
            let reject = hours_of(&[3, hour], window).unwrap_err();
            assert_eq!(reject, format!("field \"at\": {side} time accepted"));
        }
    }
}
