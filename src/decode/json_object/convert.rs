//! The conversions that formats share. Each keeps the value or rejects it: nothing is truncated or
//! guessed, and only a number in a `Float8` column is rounded, to the nearest double. The
//! exceptions are document columns, where docs/formats.md makes whatever is not a document NULL.

use std::borrow::Cow;

use super::{Found, Value, whole};
use crate::Reject;
use crate::json::{Raw, TooDeep, compact, is_valid};

/// Converts to text: a string as it is, and a number or Boolean as it is written.
pub(crate) fn text(found: Found<'_>) -> Result<Value<'_>, Reject> {
    match found.raw {
        Raw::String(string) => Ok(Value::Text(string.text())),
        Raw::Number(literal) => Ok(Value::Text(literal.into())),
        Raw::Bool(value) => Ok(Value::Text(if value { "true" } else { "false" }.into())),
        Raw::Object(_) | Raw::Array(_) => Err(found.expected("a string")),
    }
}

/// Converts to a whole number of 32 bits.
pub(crate) fn int4(found: Found<'_>) -> Result<Value<'_>, Reject> {
    let number = integer(found).and_then(|number| i32::try_from(number).ok());
    number
        .map(Value::Int4)
        .ok_or_else(|| found.expected("a 32-bit integer"))
}

/// Converts to a whole number of 64 bits.
pub(crate) fn int8(found: Found<'_>) -> Result<Value<'_>, Reject> {
    let number = integer(found).and_then(|number| i64::try_from(number).ok());
    number
        .map(Value::Int8)
        .ok_or_else(|| found.expected("a 64-bit integer"))
}

/// Returns the value of a whole number, or of a string that contains one.
pub(crate) fn integer(found: Found<'_>) -> Option<i128> {
    match found.raw {
        Raw::Number(literal) => whole(literal),
        Raw::String(string) => whole(&string.text()),
        _ => None,
    }
}

/// Converts a finite number, or a string that contains one.
pub(crate) fn float8(found: Found<'_>) -> Result<Value<'_>, Reject> {
    number(found).map(Value::Float8)
}

/// Returns the value of a finite number, or of a string that contains one.
pub(crate) fn number(found: Found<'_>) -> Result<f64, Reject> {
    let parsed = match found.raw {
        Raw::Number(literal) => literal.parse::<f64>().ok(),
        Raw::String(string) => string.text().parse().ok(),
        _ => None,
    };
    parsed
        .filter(|number| number.is_finite())
        .ok_or_else(|| found.expected("a number"))
}

/// Converts a Boolean, which may also be a string `true` or `false`, or the number 0 or 1.
pub(crate) fn boolean(found: Found<'_>) -> Result<Value<'_>, Reject> {
    let value = match found.raw {
        Raw::Bool(value) => Some(value),
        Raw::Number(literal) => match whole(literal) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Raw::String(string) => string.text().parse().ok(),
        Raw::Object(_) | Raw::Array(_) => None,
    };
    value
        .map(Value::Bool)
        .ok_or_else(|| found.expected("a boolean"))
}

/// Converts a document: an object, an array, or a string that contains any JSON. Anything else is
/// NULL.
pub(crate) fn json(found: Found<'_>) -> Result<Value<'_>, Reject> {
    match found.raw {
        Raw::Array(source) => document(found, source.into()).map(Value::Json),
        _ => json_object(found),
    }
}

/// Converts a document: an object, or a string that contains any JSON. Anything else is NULL.
pub(crate) fn json_object(found: Found<'_>) -> Result<Value<'_>, Reject> {
    match found.raw {
        Raw::Object(source) => document(found, source.into()).map(Value::Json),
        Raw::String(string) => {
            let source = string.text();
            if !is_valid(&source) || source.trim_ascii() == "null" {
                return Ok(Value::Null);
            }
            document(found, source).map(Value::Json)
        }
        _ => Ok(Value::Null),
    }
}

/// Converts a document for a text column: an object or an array to compact JSON, a string as it is.
/// Anything else is NULL.
pub(crate) fn json_text(found: Found<'_>) -> Result<Value<'_>, Reject> {
    match found.raw {
        Raw::Object(source) | Raw::Array(source) => document(found, source.into()).map(Value::Text),
        Raw::String(string) => Ok(Value::Text(string.text())),
        Raw::Bool(_) | Raw::Number(_) => Ok(Value::Null),
    }
}

/// Compacts a document, and rejects one that is nested too deep.
fn document<'a>(found: Found<'a>, source: Cow<'a, str>) -> Result<Cow<'a, str>, Reject> {
    let compacted = match source {
        Cow::Borrowed(source) => compact(source),
        Cow::Owned(source) => compact(&source).map(|document| Cow::Owned(document.into_owned())),
    };
    compacted.map_err(|TooDeep| Reject::field(found.key, "nested deeper than 100 levels"))
}
