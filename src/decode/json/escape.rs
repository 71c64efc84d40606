//! Escapes in JSON strings. What PostgreSQL can store in neither text nor jsonb, U+0000 and half
//! a surrogate pair, becomes U+FFFD instead of costing the message.

use std::borrow::Cow;

/// Stands for what cannot be stored.
pub(super) const REPLACEMENT: char = '\u{FFFD}';

/// The characters that the inside of a JSON string stands for.
pub(super) fn unescape(source: &str) -> Cow<'_, str> {
    let mut edit = Edit::new(source);
    while let Some(at) = edit.rest().find('\\') {
        let (length, meaning) = escape(edit.rest().as_bytes().get(at..).unwrap_or_default());
        edit.keep(at);
        edit.replace(length, meaning.encode_utf8(&mut [0; 4]));
    }
    edit.finish()
}

/// Length and meaning of the escape that `text` starts with.
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

/// The UTF-16 code unit of a `\uXXXX` at `at`.
fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |code, digit| {
        Some(code << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// A copy with changes of a text, made only when there is a change.
pub(super) struct Edit<'a> {
    source: &'a str,
    /// Everything before this is in `copy`, if there is one.
    copied: usize,
    /// Everything before this was looked at.
    seen: usize,
    copy: String,
}

impl<'a> Edit<'a> {
    pub fn new(source: &'a str) -> Self {
        Self {
            source,
            copied: 0,
            seen: 0,
            copy: String::new(),
        }
    }

    /// What was not looked at yet.
    pub fn rest(&self) -> &'a str {
        self.source.get(self.seen..).unwrap_or_default()
    }

    /// Lets the next `bytes` bytes stand.
    pub fn keep(&mut self, bytes: usize) {
        self.seen += bytes;
    }

    /// Puts `text` in the place of the next `bytes` bytes.
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
