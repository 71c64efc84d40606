//! Destination tables as the formats describe them. What a real table looks like is found out by
//! the worker; nothing here may assume that a column exists there.

/// The natural type of a column: what its cells hold before any cast to the real column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text without U+0000.
    Text,
    /// One JSON document as text, without `\u0000`.
    Json,
    /// Microseconds since 2000-01-01 00:00 UTC.
    Timestamp,
    /// Signed 32-bit integer.
    Int4,
    /// Signed 64-bit integer.
    Int8,
    /// IEEE double.
    Float8,
    /// Truth value.
    Bool,
}

/// One column that a format fills.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in ServiceRadar's schema.
    pub name: &'static str,
    /// Another name that the same column carries in other schema versions.
    pub alias: Option<&'static str>,
    /// Natural type of the cells.
    pub kind: Kind,
    /// Without this column a row loses its meaning: a destination that lacks it pauses the
    /// pipeline instead of being written in part.
    pub required: bool,
}

impl Column {
    /// A column that is written where the destination has it.
    pub const fn optional(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            alias: None,
            kind,
            required: false,
        }
    }

    /// A column that the destination must have.
    pub const fn required(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            alias: None,
            kind,
            required: true,
        }
    }

    /// The same column, known by a second name in other schema versions.
    pub const fn or_named(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }
}

/// What an insert does when the row's key is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Keep the row that is there.
    Keep,
    /// Overwrite some columns of the row that is there.
    Update {
        /// Columns of the unique key.
        key: &'static [&'static str],
        /// Columns that take the new row's values.
        columns: &'static [&'static str],
    },
}

/// One destination table of a format.
#[derive(Debug)]
pub struct Table {
    /// Name in ServiceRadar's schema, unqualified.
    pub name: &'static str,
    /// Columns in the order in which a decoder appends cells.
    pub columns: &'static [Column],
    /// Name of the hypertable's time column.
    pub time: &'static str,
    /// What happens to a row whose key is taken.
    pub conflict: Conflict,
}

impl Table {
    /// Position of a column among this table's columns.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }
}
