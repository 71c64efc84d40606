//! A JSON value that is still text. Nothing is converted and nothing is copied here.

use std::borrow::Cow;

use super::escape::unescape;

/// A value as it stands in the payload. `null` counts as absent, so it has no variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'a> {
    Bool(bool),
    /// The literal, exactly as written.
    Number(&'a str),
    String(Quoted<'a>),
    /// The text from brace to brace.
    Object(&'a str),
    /// The text from bracket to bracket.
    Array(&'a str),
}

impl<'a> Raw<'a> {
    /// Takes the text of one valid JSON value without white space around it.
    pub fn new(text: &'a str) -> Option<Self> {
        Some(match text.as_bytes().first()? {
            b'n' => return None,
            b't' => Raw::Bool(true),
            b'f' => Raw::Bool(false),
            b'"' => Raw::String(Quoted::new(text)),
            b'{' => Raw::Object(text),
            b'[' => Raw::Array(text),
            _ => Raw::Number(text),
        })
    }
}

/// A string as it stands in the payload, without the quotes around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quoted<'a>(&'a str);

impl<'a> Quoted<'a> {
    /// Takes the text of one valid JSON string with its quotes.
    pub fn new(text: &'a str) -> Self {
        Self(
            text.get(1..text.len().saturating_sub(1))
                .unwrap_or_default(),
        )
    }

    /// The text between the quotes, escapes and all.
    pub fn source(self) -> &'a str {
        self.0
    }

    /// The characters that it stands for, if there is no escape among them.
    pub fn plain(self) -> Option<&'a str> {
        (!self.0.as_bytes().contains(&b'\\')).then_some(self.0)
    }

    /// The characters that it stands for, without U+0000.
    pub fn text(self) -> Cow<'a, str> {
        self.plain().map_or_else(|| unescape(self.0), Cow::Borrowed)
    }
}
