//! Converts the keys of an object to the columns of a row, as a list of [`ColumnMapping`]s defines.
//!
//! A format is such a list, one line for each column: `text("unit", &["unit"])`. This module
//! applies the list; it must not contain knowledge of a particular format.

pub(crate) mod convert;
mod mapping;
mod number;
mod objects;
mod plan;
mod source;
#[cfg(test)]
mod tests;
pub(crate) mod time;
mod value;

pub(crate) use mapping::{
    ColumnMapping, boolean, columns, computed, converted, float8, int4, int8, json, json_object,
    json_text, text, timestamp,
};
pub(crate) use number::parse_integer;
pub(crate) use objects::{ObjectFormat, Variant};
pub(crate) use source::{Member, Source};
pub(crate) use value::ConvertedValue;
