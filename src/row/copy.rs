//! Rows as one stream in PostgreSQL's binary COPY format. Pure bytes; who reads them is the
//! worker's business.

use crate::Row;
use crate::cell::NULL;

/// Signature, flags and length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Number of fields that stands for the end.
const END: i16 = -1;

/// What becomes of one encoded cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The destination has no such column.
    Leave,
    /// Taken as it is.
    Take,
    /// JSON for a column of text: without the version byte that `jsonb` asks for.
    TakeText,
}

/// How rows of one table are turned into COPY data.
#[derive(Debug)]
pub struct CopyFormat {
    fields: Vec<Field>,
    count: [u8; 2],
    /// Every cell is taken as it is, so a row is one piece of memory.
    whole: bool,
}

impl CopyFormat {
    /// A format that treats a row's cells in this way.
    pub fn new(fields: Vec<Field>) -> Self {
        let taken = fields
            .iter()
            .filter(|field| **field != Field::Leave)
            .count();
        Self {
            whole: fields.iter().all(|field| *field == Field::Take),
            count: i16::try_from(taken).unwrap_or(i16::MAX).to_be_bytes(),
            fields,
        }
    }

    /// Writes rows with header and end into `out`, which is cleared first.
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

    fn encode_fields(&self, row: Row<'_>, out: &mut Vec<u8>) {
        for (field, value) in self.fields.iter().zip(row.fields()) {
            let value = match field {
                Field::Leave => continue,
                Field::Take => value,
                Field::TakeText => value.map(|json| json.get(1..).unwrap_or_default()),
            };
            // No value is longer than a message, far below 2 GiB.
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

    fn encode(fields: [Field; 3]) -> Vec<u8> {
        let mut rows = Rows::new(Arc::new(table()));
        for cell in [Cell::Int4(7), Cell::Null, Cell::Json("{}")] {
            rows.push(cell);
        }
        rows.end_row();
        let mut out = vec![1, 2, 3];
        CopyFormat::new(fields.to_vec()).encode(rows.range(0..1), &mut out);
        let body = out.strip_prefix(HEADER).unwrap();
        body.strip_suffix(&[0xff, 0xff]).unwrap().to_vec()
    }

    #[test]
    fn a_row_that_fits_is_copied_whole() {
        let expected = [
            0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255, 0, 0, 0, 3, 1, b'{', b'}',
        ];
        assert_eq!(encode([Field::Take; 3]), expected);
    }

    #[test]
    fn cells_are_left_out_and_json_becomes_text() {
        let expected = [0, 2, 255, 255, 255, 255, 0, 0, 0, 2, b'{', b'}'];
        assert_eq!(
            encode([Field::Leave, Field::Take, Field::TakeText]),
            expected
        );
    }

    #[test]
    fn a_null_that_would_be_text_stays_null() {
        let expected = [0, 1, 255, 255, 255, 255];
        assert_eq!(
            encode([Field::Leave, Field::TakeText, Field::Leave]),
            expected
        );
    }
}
