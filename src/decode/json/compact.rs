//! Compacts documents for jsonb columns and for JSON in text columns. It changes only what has no
//! meaning, and what PostgreSQL would refuse; numbers keep every digit.

use std::borrow::Cow;

use super::escape::{Edit, REPLACEMENT, escape};

/// The deepest nesting that is accepted. PostgreSQL's parser recurses, and must never reach the
/// limit of its stack.
pub(crate) const DEEPEST: usize = 100;

/// The error for a document that is nested deeper than [`DEEPEST`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

/// Returns a valid JSON document without white space between its tokens, and with U+FFFD in place
/// of escapes of U+0000 and of unpaired surrogates.
pub(crate) fn compact(document: &str) -> Result<Cow<'_, str>, TooDeep> {
    let mut edit = Edit::new(document);
    let mut depth = 0_usize;
    while let Some(first) = edit.rest().first() {
        match first {
            b'"' => string(&mut edit),
            b' ' | b'\t' | b'\n' | b'\r' => edit.replace(1, ""),
            b'{' | b'[' if depth == DEEPEST => return Err(TooDeep),
            b'{' | b'[' => {
                depth += 1;
                edit.keep(1);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                edit.keep(1);
            }
            _ => edit.keep(scalar(edit.rest())),
        }
    }
    Ok(edit.finish())
}

/// Returns the length of the literals, commas and colons that `rest` starts with.
fn scalar(rest: &[u8]) -> usize {
    let is_end = |byte: &u8| {
        matches!(
            byte,
            b'"' | b' ' | b'\t' | b'\n' | b'\r' | b'{' | b'}' | b'[' | b']'
        )
    };
    rest.iter().position(is_end).unwrap_or(rest.len())
}

/// Copies the string that starts at the current position of `edit`, and replaces escapes that
/// PostgreSQL refuses.
fn string(edit: &mut Edit<'_>) {
    edit.keep(1);
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    while let Some(at) = edit.rest().iter().position(is_special) {
        edit.keep(at);
        if edit.rest().starts_with(b"\"") {
            edit.keep(1);
            return;
        }
        match escape(edit.rest()) {
            (length, REPLACEMENT) => edit.replace(length, "\\ufffd"),
            (length, _) => edit.keep(length),
        }
    }
    edit.keep(edit.rest().len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_between_tokens_goes_and_nothing_else() {
        let compacted = compact("{ \"a b\" :\t[ 1.50 , -0.0e+10 ,\r\n null ] }").unwrap();
        assert_eq!(compacted, r#"{"a b":[1.50,-0.0e+10,null]}"#);
        let exact = r#"{"n":123456789012345678901234567890,"s":"\"{[ \\"}"#;
        assert!(matches!(compact(exact), Ok(Cow::Borrowed(same)) if same == exact));
    }

    #[test]
    fn escapes_that_jsonb_refuses_are_replaced() {
        assert_eq!(
            compact(r#"["\u0000","\\u0000","\ud800","\udc00\ud83d\ude00","\u00e9"]"#).unwrap(),
            r#"["\ufffd","\\u0000","\ufffd","\ufffd\ud83d\ude00","\u00e9"]"#
        );
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(compact(&nested(DEEPEST)).is_ok());
        assert_eq!(compact(&nested(DEEPEST + 1)), Err(TooDeep));
        assert_eq!(compact(&nested(1_000_000)), Err(TooDeep));
        let wide = format!("[{}{{}}]", "{},".repeat(1000));
        assert_eq!(compact(&wide).unwrap(), wide);
    }
}
