//! Destination tables as the formats describe them. The actual columns of a table in the database
//! are looked up by `src/destination`; nothing here may assume that a column exists there.

/// The natural type of a column: the type of its cells, before any cast to the type of the actual
/// column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text without U+0000.
    Text,
    /// A JSON document as text, without `\u0000`.
    Json,
    /// A point in time, in microseconds since 2000-01-01 00:00 UTC.
    Timestamp,
    /// A signed 32-bit integer.
    Int4,
    /// A signed 64-bit integer.
    Int8,
    /// A double-precision floating-point number (IEEE 754).
    Float8,
    /// A Boolean.
    Bool,
}

/// A column that a format fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The column's name in the format's schema.
    pub name: String,
    /// Another name of the same column, used by other versions of the schema.
    pub alias: Option<String>,
    /// The natural type of the cells.
    pub kind: Kind,
    /// True if rows are meaningless without this column. If the destination lacks it, the pipeline
    /// pauses instead of writing incomplete rows.
    pub required: bool,
}

impl Column {
    /// Describes a column that is written only if the destination has it.
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

/// The action of an INSERT for a row whose key exists already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Keep the existing row.
    Keep,
    /// Overwrite some columns of the existing row.
    Update {
        /// Columns of the unique key.
        key: Vec<String>,
        /// Columns that take the new row's values.
        columns: Vec<String>,
    },
}

/// A destination table of a format. It is created at run time, so that a table can also be
/// described by what a database contains.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// The table's name in the format's schema, unqualified.
    pub name: String,
    /// Columns in the order in which a decoder appends cells.
    pub columns: Vec<Column>,
    /// The name of the hypertable's time column.
    pub time: String,
    /// The action for a row whose key exists already.
    pub conflict: Conflict,
}

impl Table {
    /// Describes a table that keeps the existing row when a new one has the same key.
    pub fn new(name: &str, columns: Vec<Column>, time: &str) -> Self {
        Self {
            name: name.to_owned(),
            columns,
            time: time.to_owned(),
            conflict: Conflict::Keep,
        }
    }

    /// Makes a row whose `key` exists already overwrite `columns` of the existing row.
    #[must_use]
    pub fn updating(mut self, key: &[&str], columns: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.conflict = Conflict::Update {
            key: owned(key),
            columns: owned(columns),
        };
        self
    }

    /// Returns the index of a column, or `None` if the table has no column of that name.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_required_only_if_it_says_so() {
        assert!(Column::required("at", Kind::Timestamp).required);
        assert!(!Column::optional("at", Kind::Timestamp).required);
    }
}
