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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name in the format's schema.
    pub name: String,
    /// Another name that the same column carries in other schema versions.
    pub alias: Option<String>,
    /// Natural type of the cells.
    pub kind: Kind,
    /// Without this column a row loses its meaning: a destination that lacks it pauses the
    /// pipeline instead of being written in part.
    pub required: bool,
}

impl Column {
    /// Describes a column that is written where the destination has it.
    pub fn optional(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            alias: None,
            kind,
            required: false,
        }
    }

    /// Describes a column that the destination must have.
    pub fn required(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            required: true,
            ..Self::optional(name, kind)
        }
    }
}

/// What an insert does when the row's key is already there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Keep the row that is there.
    Keep,
    /// Overwrite some columns of the row that is there.
    Update {
        /// Columns of the unique key.
        key: Vec<String>,
        /// Columns that take the new row's values.
        columns: Vec<String>,
    },
}

/// One destination table of a format. Made at run time, so that a table may be described by what is
/// found in a database as well as by the program's text.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Name in the format's schema, unqualified.
    pub name: String,
    /// Columns in the order in which a decoder appends cells.
    pub columns: Vec<Column>,
    /// Name of the hypertable's time column.
    pub time: String,
    /// What happens to a row whose key is taken.
    pub conflict: Conflict,
}

impl Table {
    /// Describes a table in which a row whose key is taken is kept as it is.
    pub fn new(name: &str, columns: Vec<Column>, time: &str) -> Self {
        Self {
            name: name.to_owned(),
            columns,
            time: time.to_owned(),
            conflict: Conflict::Keep,
        }
    }

    /// Has a row whose `key` is taken overwrite `columns` of the row that is there.
    #[must_use]
    pub fn updating(mut self, key: &[&str], columns: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.conflict = Conflict::Update {
            key: owned(key),
            columns: owned(columns),
        };
        self
    }

    /// Position of a column among this table's columns.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }
}
