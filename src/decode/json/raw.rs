//! JSON values as the text of the payload. Nothing is converted and nothing is copied here.

use std::borrow::Cow;

use super::escape::unescape;

/// A value as it is written in the payload. `null` is treated like a missing key, so it has no
/// variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'a> {
    /// The literal `true` or `false`.
    Bool(bool),
    /// The literal, exactly as written.
    Number(&'a str),
    /// A string, with its escapes.
    String(RawString<'a>),
    /// The text from brace to brace.
    Object(&'a str),
    /// The text from bracket to bracket.
    Array(&'a str),
}

impl<'a> Raw<'a> {
    /// Classifies the text of one valid JSON value, without white space around it. Returns `None`
    /// for `null`.
    pub fn new(text: &'a str) -> Option<Self> {
        Some(match text.as_bytes().first()? {
            b'n' => return None,
            b't' => Raw::Bool(true),
            b'f' => Raw::Bool(false),
            b'"' => Raw::String(RawString::new(text)),
            b'{' => Raw::Object(text),
            b'[' => Raw::Array(text),
            _ => Raw::Number(text),
        })
    }
}

/// The text of a JSON string between its quotes, with its escapes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RawString<'a>(&'a str);

impl<'a> RawString<'a> {
    /// Creates one from the text of a valid JSON string with its quotes.
    pub fn new(text: &'a str) -> Self {
        Self(
            text.get(1..text.len().saturating_sub(1))
                .unwrap_or_default(),
        )
    }

    /// Returns the text between the quotes, including escapes.
    pub fn source(self) -> &'a str {
        self.0
    }

    /// Returns the characters that it represents, if it contains no escape.
    pub fn plain(self) -> Option<&'a str> {
        (!self.0.as_bytes().contains(&b'\\')).then_some(self.0)
    }

    /// Returns the characters that it represents, with U+FFFD in place of those that PostgreSQL
    /// cannot store.
    pub fn text(self) -> Cow<'a, str> {
        self.plain().map_or_else(|| unescape(self.0), Cow::Borrowed)
    }
}
