//! Converted values, which may own their text. A [`Cell`] only borrows its text, because rows copy
//! it anyway.

use std::borrow::Cow;

use row::{Cell, Timestamp};

/// The result of a conversion: a cell that may own its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ConvertedValue<'a> {
    Null,
    Text(Cow<'a, str>),
    Json(Cow<'a, str>),
    Timestamp(Timestamp),
    Int4(i32),
    Int8(i64),
    Float8(f64),
    Bool(bool),
}

impl ConvertedValue<'_> {
    /// Returns the value as a cell that borrows its text.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            ConvertedValue::Null => Cell::Null,
            ConvertedValue::Text(text) => Cell::Text(text),
            ConvertedValue::Json(text) => Cell::Json(text),
            ConvertedValue::Timestamp(time) => Cell::Timestamp(*time),
            ConvertedValue::Int4(value) => Cell::Int4(*value),
            ConvertedValue::Int8(value) => Cell::Int8(*value),
            ConvertedValue::Float8(value) => Cell::Float8(*value),
            ConvertedValue::Bool(value) => Cell::Bool(*value),
        }
    }
}
