//! Escapes in JSON strings. U+0000 and unpaired surrogates, which PostgreSQL can store neither in
//! text nor in jsonb, become U+FFFD instead of making the message a dead letter.

use std::borrow::Cow;

/// The replacement for characters that cannot be stored.
pub(super) const REPLACEMENT: char = '\u{FFFD}';

/// Returns the characters that the inside of a JSON string represents.
pub(super) fn unescape(source: &str) -> Cow<'_, str> {
    let mut edit = Edit::new(source);
    while let Some(at) = edit.rest().iter().position(|byte| *byte == b'\\') {
        edit.keep(at);
        let (length, meaning) = escape(edit.rest());
        edit.replace(length, meaning.encode_utf8(&mut [0; 4]));
    }
    edit.finish()
}

/// Returns the length in bytes, and the character, of the escape that `text` starts with.
pub(super) fn escape(text: &[u8]) -> (usize, char) {
    match text.get(1) {
        Some(b'u') => code_point(text),
        Some(b'n') => (2, '\n'),
        Some(b'r') => (2, '\r'),
        Some(b't') => (2, '\t'),
        Some(b'b') => (2, '\u{8}'),
        Some(b'f') => (2, '\u{C}'),
        Some(&itself) => (2, char::from(itself)),
        None => (1, REPLACEMENT),
    }
}

/// Returns length and character of a `\uXXXX`, or of the pair of them that a surrogate pair takes.
fn code_point(text: &[u8]) -> (usize, char) {
    let (length, code) = match (unit(text, 0), unit(text, 6)) {
        (Some(high @ 0xD800..0xDC00), Some(low @ 0xDC00..0xE000)) => {
            (12, 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        }
        (Some(code), _) => (6, code),
        (None, _) => (2, 0),
    };
    (
        length,
        char::from_u32(code)
            .filter(|c| *c != '\0')
            .unwrap_or(REPLACEMENT),
    )
}

/// Returns the UTF-16 code unit of the `\uXXXX` at `at`, if there is one.
fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |code, digit| {
        Some(code << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// A changed copy of a text, which is created only when there is a change.
pub(super) struct Edit<'a> {
    source: &'a str,
    /// Offset in `source`; everything before it is in `copy`, if there was a change.
    copied: usize,
    /// Offset in `source`; everything before it is processed.
    seen: usize,
    copy: String,
}

impl<'a> Edit<'a> {
    /// Starts at the beginning of `source`, without a change.
    pub fn new(source: &'a str) -> Self {
        Self {
            source,
            copied: 0,
            seen: 0,
            copy: String::new(),
        }
    }

    /// Returns the bytes that are not processed yet.
    pub fn rest(&self) -> &'a [u8] {
        self.source.as_bytes().get(self.seen..).unwrap_or_default()
    }

    /// Keeps the next `bytes` bytes.
    pub fn keep(&mut self, bytes: usize) {
        self.seen += bytes;
    }

    /// Replaces the next `bytes` bytes by `text`.
    pub fn replace(&mut self, bytes: usize, text: &str) {
        if self.copied == 0 {
            self.copy.reserve(self.source.len());
        }
        self.copy
            .push_str(self.source.get(self.copied..self.seen).unwrap_or_default());
        self.copy.push_str(text);
        self.seen += bytes;
        self.copied = self.seen;
    }

    /// Returns the result, which is `source` itself if nothing was replaced.
    pub fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.source);
        }
        self.copy
            .push_str(self.source.get(self.copied..).unwrap_or_default());
        Cow::Owned(self.copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        assert!(matches!(unescape("größe"), Cow::Borrowed("größe")));
        assert!(matches!(unescape(""), Cow::Borrowed("")));
    }

    #[test]
    fn escapes_stand_for_their_characters() {
        let source = r#"\"\\\/\b\f\n\r\t\u00e9\u20AC\uD83D\ude00 end"#;
        assert_eq!(unescape(source), "\"\\/\u{8}\u{c}\n\r\té€😀 end");
    }

    #[test]
    fn what_postgresql_cannot_store_is_replaced() {
        assert_eq!(unescape(r"a\u0000b"), "a\u{FFFD}b");
        assert_eq!(unescape(r"\ud83d"), "\u{FFFD}");
        assert_eq!(unescape(r"\ude00\ud83dx"), "\u{FFFD}\u{FFFD}x");
        assert_eq!(unescape(r"\ud83d\ud83d\ude00"), "\u{FFFD}😀");
        assert_eq!(unescape(r"\ud83d\u0041"), "\u{FFFD}A");
    }
}
