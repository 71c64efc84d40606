//! Rows as data in PostgreSQL's binary COPY format. These are only bytes; `src/destination` hands
//! them to PostgreSQL.

use crate::cell::NULL;
use crate::{Encoded, Row};

/// The header: signature, flags, and length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The field count that marks the end of the data.
const END: i16 = -1;

/// The treatment of one encoded cell in the COPY data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyField {
    /// It is left out, because the destination has no such column.
    Omit,
    /// It is copied unchanged.
    Unchanged,
    /// It is JSON for a column of text, and is copied without the version byte that only `jsonb`
    /// requires.
    JsonAsText,
}

/// The conversion of one table's rows into COPY data.
#[derive(Debug)]
pub struct CopyFormat {
    /// The treatment of each cell, in column order.
    fields: Vec<CopyField>,
    /// The number of cells that are copied, as each row's field count.
    count: [u8; 2],
    /// True if every cell is copied unchanged, so that a row can be copied as a whole.
    whole: bool,
}

impl CopyFormat {
    /// Creates a format that handles the cells of a row, in column order, as `fields` says.
    pub fn new(fields: Vec<CopyField>) -> Self {
        let copied = fields
            .iter()
            .filter(|field| **field != CopyField::Omit)
            .count();
        Self {
            whole: fields.iter().all(|field| *field == CopyField::Unchanged),
            count: i16::try_from(copied).unwrap_or(i16::MAX).to_be_bytes(),
            fields,
        }
    }

    /// Returns the format for rows with absent cells, which are written as NULL. Use
    /// [`CopyField::Omit`] for columns where NULL would be wrong.
    #[must_use]
    pub fn with_absent_as_null(mut self) -> Self {
        self.whole = false;
        self
    }

    /// Writes header, rows and end marker into `out`, which is cleared first.
    pub fn encode<'a>(&self, rows: impl Iterator<Item = Row<'a>>, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(HEADER);
        for row in rows {
            out.extend_from_slice(&self.count);
            if self.whole {
                out.extend_from_slice(row.bytes());
            } else {
                self.encode_fields(row, out);
            }
        }
        out.extend_from_slice(&END.to_be_bytes());
    }

    /// Appends the cells of a row one by one, where they are not all copied unchanged.
    fn encode_fields(&self, row: Row<'_>, out: &mut Vec<u8>) {
        for (field, value) in self.fields.iter().zip(row.fields()) {
            let value = match (field, value) {
                (CopyField::Omit, _) => continue,
                (CopyField::Unchanged, value) => value.value(),
                (CopyField::JsonAsText, Encoded::Value(json)) => json.get(1..),
                (CopyField::JsonAsText, Encoded::Null | Encoded::Absent) => None,
            };
            // A value is never longer than its message, which is far below 2 GiB.
            let length = value.map_or(NULL, |v| i32::try_from(v.len()).unwrap_or(i32::MAX));
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Column, Kind, Rows, Table};
    use std::sync::Arc;

    fn table() -> Table {
        let columns = vec![
            Column::required("n", Kind::Int4),
            Column::optional("name", Kind::Text),
            Column::optional("tags", Kind::Json),
        ];
        Table::new("t", columns, "n")
    }

    fn encode(fields: [CopyField; 3]) -> Vec<u8> {
        let cells = [Cell::Int4(7), Cell::Null, Cell::Json("{}")];
        encode_cells(&CopyFormat::new(fields.to_vec()), cells)
    }

    fn encode_cells(format: &CopyFormat, cells: [Cell<'_>; 3]) -> Vec<u8> {
        let mut rows = Rows::new(Arc::new(table()));
        cells.into_iter().for_each(|cell| rows.push(cell));
        rows.end_row();
        let mut out = vec![1, 2, 3];
        format.encode(rows.range(0..1), &mut out);
        let body = out.strip_prefix(HEADER).unwrap();
        body.strip_suffix(&[0xff, 0xff]).unwrap().to_vec()
    }

    #[test]
    fn a_row_that_fits_is_copied_whole() {
        let expected = [
            0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255, 0, 0, 0, 3, 1, b'{', b'}',
        ];
        assert_eq!(encode([CopyField::Unchanged; 3]), expected);
    }

    #[test]
    fn cells_are_left_out_and_json_becomes_text() {
        let expected = [0, 2, 255, 255, 255, 255, 0, 0, 0, 2, b'{', b'}'];
        assert_eq!(
            encode([CopyField::Omit, CopyField::Unchanged, CopyField::JsonAsText]),
            expected
        );
    }

    #[test]
    fn a_null_that_would_be_text_stays_null() {
        let expected = [0, 1, 255, 255, 255, 255];
        assert_eq!(
            encode([CopyField::Omit, CopyField::JsonAsText, CopyField::Omit]),
            expected
        );
    }

    #[test]
    fn an_absent_cell_is_left_out_or_null() {
        let cells = [Cell::Int4(7), Cell::Absent, Cell::Absent];
        let format = CopyFormat::new(vec![
            CopyField::Unchanged,
            CopyField::Omit,
            CopyField::JsonAsText,
        ]);
        let expected = [0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255];
        assert_eq!(encode_cells(&format, cells), expected);
        let format = CopyFormat::new(vec![CopyField::Omit, CopyField::Omit, CopyField::Unchanged]);
        let expected = [0, 1, 255, 255, 255, 255];
        assert_eq!(encode_cells(&format, cells), expected);
        let format = CopyFormat::new(vec![CopyField::Unchanged; 3]).with_absent_as_null();
        let expected = [
            0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255, 255, 255, 255, 255,
        ];
        assert_eq!(encode_cells(&format, cells), expected);
    }
}
