//! The lines of a format: each maps a column to the keys that it is filled from in order of
//! preference, with the conversion, and the fallback for when no key has a value.

use row::{Cell, Column, Kind};

use super::{ConvertedValue, Member, Source, convert};
use crate::{Message, Reject};

/// A function that converts the value of one key to the value of a column.
pub(crate) type Convert = for<'a> fn(Member<'a>) -> Result<ConvertedValue<'a>, Reject>;
/// A function that computes the value of a column from several keys.
pub(crate) type Compute = for<'a> fn(Source<'_, 'a>) -> Result<ConvertedValue<'a>, Reject>;
/// A function that derives a text from a message's place in its stream and the index of an object
/// in it.
pub(crate) type Derive = fn(&Message<'_>, usize) -> String;

/// The rule by which one column is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnMapping {
    /// The name of the column.
    pub name: &'static str,
    /// Its name in other versions of the schema.
    alias: Option<&'static str>,
    /// The natural type of the column.
    pub kind: Kind,
    /// True if the destination must have it.
    required: bool,
    /// The keys that it is filled from, in order of preference.
    pub keys: &'static [&'static str],
    /// The use of the keys.
    pub rule: Rule,
    /// What it is filled with when the keys give no value.
    pub fallback: Fallback,
}

/// The use of a column's keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// The value of the first key that has one is converted.
    Convert(Convert),
    /// The same, with [`convert::text`] as the conversion. Most columns are filled this way.
    Text,
    /// The value is computed from all keys together.
    Compute(Compute),
}

/// What a column is filled with when the keys give no value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fallback {
    /// This cell.
    Cell(Cell<'static>),
    /// The time at which the stream stored the message.
    Published,
    /// A text that is derived from the message's place in its stream.
    Derived(Derive),
    /// There is no default: the message is rejected.
    Reject,
}

impl ColumnMapping {
    /// Creates an optional column whose default is NULL.
    const fn new(
        name: &'static str,
        kind: Kind,
        keys: &'static [&'static str],
        rule: Rule,
    ) -> Self {
        Self {
            name,
            alias: None,
            kind,
            required: false,
            keys,
            rule,
            fallback: Fallback::Cell(Cell::Null),
        }
    }

    /// Requires that the destination has the column.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Sets the column's name in other versions of the schema.
    pub const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Sets the default for when the keys give no value.
    pub const fn or(mut self, cell: Cell<'static>) -> Self {
        self.fallback = Fallback::Cell(cell);
        self
    }

    /// Derives the value from the message's place in its stream when the keys give none.
    pub const fn or_derived(mut self, derive: Derive) -> Self {
        self.fallback = Fallback::Derived(derive);
        self
    }

    /// Rejects the message when the keys give no value.
    pub const fn or_reject(mut self) -> Self {
        self.fallback = Fallback::Reject;
        self
    }
}

/// Returns the columns that the mappings fill, in their order.
pub(crate) fn columns(mappings: &[ColumnMapping]) -> Vec<Column> {
    let column = |mapping: &ColumnMapping| Column {
        name: mapping.name.to_owned(),
        alias: mapping.alias.map(str::to_owned),
        kind: mapping.kind,
        required: mapping.required,
    };
    mappings.iter().map(column).collect()
}

/// Creates a column with a conversion of its own.
pub(crate) const fn converted(
    name: &'static str,
    kind: Kind,
    keys: &'static [&'static str],
    convert: Convert,
) -> ColumnMapping {
    ColumnMapping::new(name, kind, keys, Rule::Convert(convert))
}

/// Creates a column whose value is computed from several keys.
pub(crate) const fn computed(
    name: &'static str,
    kind: Kind,
    keys: &'static [&'static str],
    compute: Compute,
) -> ColumnMapping {
    ColumnMapping::new(name, kind, keys, Rule::Compute(compute))
}

/// Creates a column of times. The default is the message's publish time. `convert` is one of the
/// conversions in [`super::time`].
pub(crate) const fn timestamp(
    name: &'static str,
    keys: &'static [&'static str],
    convert: Convert,
) -> ColumnMapping {
    let mut mapping = converted(name, Kind::Timestamp, keys, convert);
    mapping.fallback = Fallback::Published;
    mapping
}

/// Creates a text column.
pub(crate) const fn text(name: &'static str, keys: &'static [&'static str]) -> ColumnMapping {
    ColumnMapping::new(name, Kind::Text, keys, Rule::Text)
}

/// Creates a column of 32-bit integers.
pub(crate) const fn int4(name: &'static str, keys: &'static [&'static str]) -> ColumnMapping {
    converted(name, Kind::Int4, keys, convert::int4)
}

/// Creates a column of 64-bit integers.
pub(crate) const fn int8(name: &'static str, keys: &'static [&'static str]) -> ColumnMapping {
    converted(name, Kind::Int8, keys, convert::int8)
}

/// Creates a column of floating-point numbers.
pub(crate) const fn float8(name: &'static str, keys: &'static [&'static str]) -> ColumnMapping {
    converted(name, Kind::Float8, keys, convert::float8)
}

/// Creates a column of Booleans.
pub(crate) const fn boolean(name: &'static str, keys: &'static [&'static str]) -> ColumnMapping {
    converted(name, Kind::Bool, keys, convert::boolean)
}

/// Creates a JSON column, for an object, an array, or a string that contains any JSON document.
pub(crate) const fn json(name: &'static str, keys: &'static [&'static str]) -> ColumnMapping {
    converted(name, Kind::Json, keys, convert::json)
}

/// Creates a JSON column, for an object, or a string that contains any JSON document.
pub(crate) const fn json_object(
    name: &'static str,
    keys: &'static [&'static str],
) -> ColumnMapping {
    converted(name, Kind::Json, keys, convert::json_object)
}

/// Creates a text column for an object or an array, as JSON, or a string as it is.
pub(crate) const fn json_text(name: &'static str, keys: &'static [&'static str]) -> ColumnMapping {
    converted(name, Kind::Text, keys, convert::json_text)
}
