//! Typed values and their encoding: that of a field in PostgreSQL's binary COPY format, for the
//! natural type of the column, so that rows can be written as bytes without a conversion. It is
//! plain data, and no PostgreSQL function may be called here.

use crate::{Kind, Timestamp};

/// Length word of a NULL, as in binary COPY.
pub(crate) const NULL: i32 = -1;
/// Length word of an absent cell. It is used inside this crate only, because PostgreSQL has no such
/// value.
pub(crate) const ABSENT: i32 = -2;
/// First byte of every encoded JSON cell: the version number that `jsonb_recv` requires.
const JSON_VERSION: u8 = 1;

/// The value of one column in one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// SQL's NULL.
    Null,
    /// No value, so the default of the destination's column applies.
    Absent,
    /// A value of a [`Kind::Text`] column.
    Text(&'a str),
    /// A value of a [`Kind::Json`] column.
    Json(&'a str),
    /// A value of a [`Kind::Timestamp`] column.
    Timestamp(Timestamp),
    /// A value of a [`Kind::Int4`] column.
    Int4(i32),
    /// A value of a [`Kind::Int8`] column.
    Int8(i64),
    /// A value of a [`Kind::Float8`] column.
    Float8(f64),
    /// A value of a [`Kind::Bool`] column.
    Bool(bool),
}

impl<'a> Cell<'a> {
    /// Returns whether a column of this kind can hold the cell.
    pub fn fits(self, kind: Kind) -> bool {
        match self {
            Cell::Null | Cell::Absent => true,
            Cell::Text(_) => kind == Kind::Text,
            Cell::Json(_) => kind == Kind::Json,
            Cell::Timestamp(_) => kind == Kind::Timestamp,
            Cell::Int4(_) => kind == Kind::Int4,
            Cell::Int8(_) => kind == Kind::Int8,
            Cell::Float8(_) => kind == Kind::Float8,
            Cell::Bool(_) => kind == Kind::Bool,
        }
    }

    /// Appends the encoded cell to `out`.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        match self {
            Cell::Null => out.extend_from_slice(&NULL.to_be_bytes()),
            Cell::Absent => out.extend_from_slice(&ABSENT.to_be_bytes()),
            Cell::Text(text) => {
                out.extend_from_slice(&length(text.len()));
                out.extend_from_slice(text.as_bytes());
            }
            Cell::Json(text) => {
                out.extend_from_slice(&length(text.len() + 1));
                out.push(JSON_VERSION);
                out.extend_from_slice(text.as_bytes());
            }
            Cell::Timestamp(time) => fixed(out, &time.postgres_micros().to_be_bytes()),
            Cell::Int4(value) => fixed(out, &value.to_be_bytes()),
            Cell::Int8(value) => fixed(out, &value.to_be_bytes()),
            Cell::Float8(value) => fixed(out, &value.to_be_bytes()),
            Cell::Bool(value) => fixed(out, &[u8::from(value)]),
        }
    }

    /// Reads one cell of the given kind from the front of `bytes`. Returns `None` when the bytes
    /// are not an encoded cell of that kind.
    pub(crate) fn decode(kind: Kind, bytes: &mut &'a [u8]) -> Option<Cell<'a>> {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*head);
        if length < 0 {
            *bytes = rest;
            return match length {
                NULL => Some(Cell::Null),
                ABSENT => Some(Cell::Absent),
                _ => None,
            };
        }
        let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        *bytes = rest;
        Some(match kind {
            Kind::Text => Cell::Text(std::str::from_utf8(field).ok()?),
            Kind::Json => Cell::Json(std::str::from_utf8(field.get(1..)?).ok()?),
            Kind::Timestamp => Cell::Timestamp(Timestamp::from_postgres_micros(
                i64::from_be_bytes(field.try_into().ok()?),
            )?),
            Kind::Int4 => Cell::Int4(i32::from_be_bytes(field.try_into().ok()?)),
            Kind::Int8 => Cell::Int8(i64::from_be_bytes(field.try_into().ok()?)),
            Kind::Float8 => Cell::Float8(f64::from_be_bytes(field.try_into().ok()?)),
            Kind::Bool => Cell::Bool(field.first()? != &0),
        })
    }
}

/// Returns a field's length word. Fields are never longer than their message, which is far below 2
/// GiB.
fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes()
}

/// Appends a value of fixed size with its length word.
fn fixed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_fits_a_column_of_its_own_kind_and_null_fits_any() {
        let cells = [
            (Cell::Text(""), Kind::Text),
            (Cell::Json("{}"), Kind::Json),
            (Cell::Timestamp(Timestamp::default()), Kind::Timestamp),
            (Cell::Int4(0), Kind::Int4),
            (Cell::Int8(0), Kind::Int8),
            (Cell::Float8(0.0), Kind::Float8),
            (Cell::Bool(false), Kind::Bool),
        ];
        for (number, (cell, kind)) in cells.into_iter().enumerate() {
            assert!(Cell::Null.fits(kind));
            for (other, (_, column)) in cells.into_iter().enumerate() {
                assert_eq!(cell.fits(column), number == other, "{kind:?} {column:?}");
            }
        }
    }

    /// What reads the cells here would also read them in another byte order; PostgreSQL would not.
    #[test]
    fn a_value_has_the_bytes_that_binary_copy_requires() {
        let one_microsecond = Timestamp::from_postgres_micros(1).unwrap();
        let cells: [(Cell<'_>, &[u8]); 8] = [
            (Cell::Null, &[255; 4]),
            (Cell::Text("ab"), b"\0\0\0\x02ab"),
            (Cell::Json("{}"), b"\0\0\0\x03\x01{}"),
            (
                Cell::Timestamp(one_microsecond),
                &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1],
            ),
            (Cell::Int4(-2), &[0, 0, 0, 4, 255, 255, 255, 254]),
            (Cell::Int8(1), &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]),
            (
                Cell::Float8(1.0),
                &[0, 0, 0, 8, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0],
            ),
            (Cell::Bool(true), &[0, 0, 0, 1, 1]),
        ];
        for (cell, expected) in cells {
            let mut bytes = Vec::new();
            cell.encode(&mut bytes);
            assert_eq!(bytes, expected, "{cell:?}");
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let cells = [
            (Cell::Bool(false), Kind::Bool),
            (Cell::Bool(true), Kind::Bool),
            (Cell::Null, Kind::Text),
        ];
        for (cell, kind) in cells {
            let mut bytes = Vec::new();
            cell.encode(&mut bytes);
            assert_eq!(Cell::decode(kind, &mut bytes.as_slice()), Some(cell));
        }
    }
}
