//! The conversions that formats share. Each keeps the value whole or rejects it: nothing is
//! rounded, cut or guessed here. The exceptions are the document columns, where formats.md has
//! what is not a document become NULL.

use std::borrow::Cow;

use super::{Found, Value, whole};
use crate::Reject;
use crate::json::{Raw, TooDeep, compact, is_valid};

/// A string; a number or truth value as the text it is written as.
pub(crate) fn text(found: Found<'_>) -> Result<Value<'_>, Reject> {
    match found.raw {
        Raw::String(string) => Ok(Value::Text(string.text())),
        Raw::Number(literal) => Ok(Value::Text(literal.into())),
        Raw::Bool(value) => Ok(Value::Text(if value { "true" } else { "false" }.into())),
        Raw::Object(_) | Raw::Array(_) => Err(found.expected("a string")),
    }
}

/// A whole number of 32 bits.
pub(crate) fn int4(found: Found<'_>) -> Result<Value<'_>, Reject> {
    let number = integer(found).and_then(|number| i32::try_from(number).ok());
    number
        .map(Value::Int4)
        .ok_or_else(|| found.expected("a 32-bit integer"))
}

/// A whole number of 64 bits.
pub(crate) fn int8(found: Found<'_>) -> Result<Value<'_>, Reject> {
    let number = integer(found).and_then(|number| i64::try_from(number).ok());
    number
        .map(Value::Int8)
        .ok_or_else(|| found.expected("a 64-bit integer"))
}

/// A whole number, or a string that holds one.
pub(crate) fn integer(found: Found<'_>) -> Option<i128> {
    match found.raw {
        Raw::Number(literal) => whole(literal),
        Raw::String(string) => whole(&string.text()),
        _ => None,
    }
}

/// A finite number, or a string that holds one.
pub(crate) fn float8(found: Found<'_>) -> Result<Value<'_>, Reject> {
    number(found).map(Value::Float8)
}

/// A finite number, or a string that holds one.
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

/// A truth value, also as a string or as 0 and 1.
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

/// A document: an object, an array, or a string that holds any JSON. Anything else is NULL.
pub(crate) fn json(found: Found<'_>) -> Result<Value<'_>, Reject> {
    match found.raw {
        Raw::Array(source) => document(found, source.into()).map(Value::Json),
        _ => json_object(found),
    }
}

/// A document: an object, or a string that holds any JSON. Anything else is NULL.
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

/// A document for a text column: an object or an array as compact JSON, a string as it is.
/// Anything else is NULL.
pub(crate) fn json_text(found: Found<'_>) -> Result<Value<'_>, Reject> {
    match found.raw {
        Raw::Object(source) | Raw::Array(source) => document(found, source.into()).map(Value::Text),
        Raw::String(string) => Ok(Value::Text(string.text())),
        Raw::Bool(_) | Raw::Number(_) => Ok(Value::Null),
    }
}

fn document<'a>(found: Found<'a>, source: Cow<'a, str>) -> Result<Cow<'a, str>, Reject> {
    let compacted = match source {
        Cow::Borrowed(source) => compact(source),
        Cow::Owned(source) => compact(&source).map(|document| Cow::Owned(document.into_owned())),
    };
    compacted.map_err(|TooDeep| Reject::field(found.key, "nested deeper than 100 levels"))
}
