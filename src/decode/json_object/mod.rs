//! Converts the keys of an object to the columns of a row, as a table of [`Field`]s defines.
//!
//! A format is such a table, one line for each column: `text("unit", &["unit"])`. This module
//! applies the table; it must not contain knowledge of a particular format.

pub(crate) mod convert;
mod field;
mod number;
mod objects;
mod plan;
mod source;
#[cfg(test)]
mod tests;
pub(crate) mod time;
mod value;

pub(crate) use field::{
    Field, boolean, columns, computed, converted, float8, int4, int8, json, json_object, json_text,
    text, timestamp,
};
pub(crate) use number::whole;
pub(crate) use objects::{ObjectFormat, Variant};
pub(crate) use source::{Found, Source};
pub(crate) use value::Value;
