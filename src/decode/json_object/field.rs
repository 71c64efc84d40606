//! The lines of which a format's table is made: a column, the keys it is filled from in order of
//! preference, the conversion, and what stands there when no key gives a value.

use row::{Cell, Column, Kind};

use super::{Found, Source, Value, convert};
use crate::{Message, Reject};

/// Turns the value of one key into the value of a column.
pub(crate) type Convert = for<'a> fn(Found<'a>) -> Result<Value<'a>, Reject>;
/// Makes the value of a column out of several keys.
pub(crate) type Compute = for<'a> fn(Source<'_, 'a>) -> Result<Value<'a>, Reject>;
/// Makes a text for object number N of a message.
pub(crate) type Derive = fn(&Message<'_>, usize) -> String;

/// How one column is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Name of the column.
    pub name: &'static str,
    /// Another name of it in other schema versions.
    alias: Option<&'static str>,
    /// Natural type of the column.
    pub kind: Kind,
    /// Whether the destination must have it.
    required: bool,
    pub keys: &'static [&'static str],
    pub rule: Rule,
    pub otherwise: Otherwise,
}

/// What is done with the keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// The first key that has a value is converted.
    Convert(Convert),
    /// The same for text, by [`convert::text`]; most columns are that.
    Text,
    /// The keys are looked at together.
    Compute(Compute),
}

/// What stands in the column when the keys give nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Otherwise {
    Cell(Cell<'static>),
    /// The time at which the stream stored the message.
    Published,
    Derived(Derive),
    /// Nothing will do: the message is rejected.
    Reject,
}

impl Field {
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
            otherwise: Otherwise::Cell(Cell::Null),
        }
    }

    /// The destination must have the column.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The column has another name in other schema versions.
    pub const fn or_named(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Stands there when the keys give nothing.
    pub const fn or(mut self, cell: Cell<'static>) -> Self {
        self.otherwise = Otherwise::Cell(cell);
        self
    }

    /// Made from the message's place in the stream when the keys give nothing.
    pub const fn or_derived(mut self, derive: Derive) -> Self {
        self.otherwise = Otherwise::Derived(derive);
        self
    }

    /// The message is rejected when the keys give nothing.
    pub const fn or_reject(mut self) -> Self {
        self.otherwise = Otherwise::Reject;
        self
    }
}

/// The columns of a table, in the order of its fields.
pub(crate) fn columns(fields: &[Field]) -> Vec<Column> {
    let column = |field: &Field| Column {
        name: field.name.to_owned(),
        alias: field.alias.map(str::to_owned),
        kind: field.kind,
        required: field.required,
    };
    fields.iter().map(column).collect()
}

/// A column with a conversion of its own.
pub(crate) const fn converted(
    name: &'static str,
    kind: Kind,
    keys: &'static [&'static str],
    convert: Convert,
) -> Field {
    Field::new(name, kind, keys, Rule::Convert(convert))
}

/// A column made out of several keys together.
pub(crate) const fn computed(
    name: &'static str,
    kind: Kind,
    keys: &'static [&'static str],
    compute: Compute,
) -> Field {
    Field::new(name, kind, keys, Rule::Compute(compute))
}

/// A point in time, "now" when the keys give none. `convert` is from `time`.
pub(crate) const fn timestamp(
    name: &'static str,
    keys: &'static [&'static str],
    convert: Convert,
) -> Field {
    let mut field = converted(name, Kind::Timestamp, keys, convert);
    field.otherwise = Otherwise::Published;
    field
}

pub(crate) const fn text(name: &'static str, keys: &'static [&'static str]) -> Field {
    Field::new(name, Kind::Text, keys, Rule::Text)
}

pub(crate) const fn int4(name: &'static str, keys: &'static [&'static str]) -> Field {
    converted(name, Kind::Int4, keys, convert::int4)
}

pub(crate) const fn int8(name: &'static str, keys: &'static [&'static str]) -> Field {
    converted(name, Kind::Int8, keys, convert::int8)
}

pub(crate) const fn float8(name: &'static str, keys: &'static [&'static str]) -> Field {
    converted(name, Kind::Float8, keys, convert::float8)
}

pub(crate) const fn boolean(name: &'static str, keys: &'static [&'static str]) -> Field {
    converted(name, Kind::Bool, keys, convert::boolean)
}

/// An object or an array, or a string that holds any JSON document.
pub(crate) const fn json(name: &'static str, keys: &'static [&'static str]) -> Field {
    converted(name, Kind::Json, keys, convert::json)
}

/// An object, or a string that holds any JSON document.
pub(crate) const fn json_object(name: &'static str, keys: &'static [&'static str]) -> Field {
    converted(name, Kind::Json, keys, convert::json_object)
}

/// JSON kept as text: an object or an array, or a string as it is.
pub(crate) const fn json_text(name: &'static str, keys: &'static [&'static str]) -> Field {
    converted(name, Kind::Text, keys, convert::json_text)
}
