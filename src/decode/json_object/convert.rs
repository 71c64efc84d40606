//! The conversions that formats share. Each keeps the value or rejects it: nothing is truncated or
//! guessed, and only a number in a `Float8` column is rounded, to the nearest double. The
//! exceptions are document columns, where docs/formats.md makes whatever is not a document NULL.

use std::borrow::Cow;

use super::{ConvertedValue, Member, parse_integer};
use crate::Reject;
use crate::json::{Raw, TooDeep, compact, is_valid};

/// Converts to text: a string as it is, and a number or Boolean as it is written.
pub(crate) fn text(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match member.raw {
        Raw::String(string) => Ok(ConvertedValue::Text(string.text())),
        Raw::Number(literal) => Ok(ConvertedValue::Text(literal.into())),
        Raw::Bool(value) => Ok(ConvertedValue::Text(
            if value { "true" } else { "false" }.into(),
        )),
        Raw::Object(_) | Raw::Array(_) => Err(member.expected("a string")),
    }
}

/// Converts to a whole number of 32 bits.
pub(crate) fn int4(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    let number = integer(member).and_then(|number| i32::try_from(number).ok());
    number
        .map(ConvertedValue::Int4)
        .ok_or_else(|| member.expected("a 32-bit integer"))
}

/// Converts to a whole number of 64 bits.
pub(crate) fn int8(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    let number = integer(member).and_then(|number| i64::try_from(number).ok());
    number
        .map(ConvertedValue::Int8)
        .ok_or_else(|| member.expected("a 64-bit integer"))
}

/// Returns the value of a whole number, or of a string that contains one.
pub(crate) fn integer(member: Member<'_>) -> Option<i128> {
    match member.raw {
        Raw::Number(literal) => parse_integer(literal),
        Raw::String(string) => parse_integer(&string.text()),
        _ => None,
    }
}

/// Converts a finite number, or a string that contains one.
pub(crate) fn float8(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    number(member).map(ConvertedValue::Float8)
}

/// Returns the value of a finite number, or of a string that contains one.
pub(crate) fn number(member: Member<'_>) -> Result<f64, Reject> {
    let parsed = match member.raw {
        Raw::Number(literal) => literal.parse::<f64>().ok(),
        Raw::String(string) => string.text().parse().ok(),
        _ => None,
    };
    parsed
        .filter(|number| number.is_finite())
        .ok_or_else(|| member.expected("a number"))
}

/// Converts a Boolean, which may also be a string `true` or `false`, or the number 0 or 1.
pub(crate) fn boolean(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    let value = match member.raw {
        Raw::Bool(value) => Some(value),
        Raw::Number(literal) => match parse_integer(literal) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Raw::String(string) => string.text().parse().ok(),
        Raw::Object(_) | Raw::Array(_) => None,
    };
    value
        .map(ConvertedValue::Bool)
        .ok_or_else(|| member.expected("a boolean"))
}

/// Converts a document: an object, an array, or a string that contains any JSON. Anything else is
/// NULL.
pub(crate) fn json(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match member.raw {
        Raw::Array(source) => document(member, source.into()).map(ConvertedValue::Json),
        _ => json_object(member),
    }
}

/// Converts a document: an object, or a string that contains any JSON. Anything else is NULL.
pub(crate) fn json_object(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match member.raw {
        Raw::Object(source) => document(member, source.into()).map(ConvertedValue::Json),
        Raw::String(string) => {
            let source = string.text();
            if !is_valid(&source) || source.trim_ascii() == "null" {
                return Ok(ConvertedValue::Null);
            }
            document(member, source).map(ConvertedValue::Json)
        }
        _ => Ok(ConvertedValue::Null),
    }
}

/// Converts a document for a text column: an object or an array to compact JSON, a string as it is.
/// Anything else is NULL.
pub(crate) fn json_text(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match member.raw {
        Raw::Object(source) | Raw::Array(source) => {
            document(member, source.into()).map(ConvertedValue::Text)
        }
        Raw::String(string) => Ok(ConvertedValue::Text(string.text())),
        Raw::Bool(_) | Raw::Number(_) => Ok(ConvertedValue::Null),
    }
}

/// Compacts a document, and rejects one that is nested too deep.
fn document<'a>(member: Member<'a>, source: Cow<'a, str>) -> Result<Cow<'a, str>, Reject> {
    let compacted = match source {
        Cow::Borrowed(source) => compact(source),
        Cow::Owned(source) => compact(&source).map(|document| Cow::Owned(document.into_owned())),
    };
    compacted.map_err(|TooDeep| Reject::field(member.key, "nested deeper than 100 levels"))
}
