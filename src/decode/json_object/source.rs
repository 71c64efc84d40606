//! The part of an object that one mapping sees: the values of its own keys and nothing else.

use std::borrow::Cow;

use super::{ConvertedValue, convert};
use crate::Reject;
use crate::json::{Raw, SEPARATOR, Slots};
use crate::reject::excerpt;

/// The values of a mapping's keys in one object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'s, 'a> {
    /// The values of the object, by slot.
    pub values: &'s Slots<'a>,
    /// The mapping's keys, in order of preference.
    pub keys: &'static [&'static str],
    /// The slot in `values` of each key.
    pub slots: &'s [usize],
    /// True if `false` is a value. For a column that is not Boolean it is treated like a missing
    /// key.
    pub keep_false: bool,
}

/// A member of an object: a key that a mapping uses, with its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub raw: Raw<'a>,
}

impl<'s, 'a> Source<'s, 'a> {
    /// Returns the members whose keys are present, in the mapping's order of preference.
    pub fn members(self) -> impl Iterator<Item = Member<'a>> + use<'s, 'a> {
        self.keys
            .iter()
            .zip(self.slots)
            .filter_map(move |(key, slot)| {
                let raw = (*self.values.get(*slot)?)?;
                (self.keep_false || raw != Raw::Bool(false)).then_some(Member { key, raw })
            })
    }

    /// Returns the value of one of the keys.
    pub fn get(self, key: &str) -> Option<Member<'a>> {
        self.members().find(|member| member.key == key)
    }

    /// Returns the text of one of the keys, which is empty if it has none.
    pub fn text(self, key: &str) -> Cow<'a, str> {
        match self.get(key).map(convert::text) {
            Some(Ok(ConvertedValue::Text(text))) => text,
            _ => Cow::Borrowed(""),
        }
    }

    /// Returns the first value, if it is a string without escapes. This avoids a
    /// [`ConvertedValue`], because copying that costs more than all the rest.
    pub fn plain_text(self) -> Option<&'a str> {
        match self.members().next()?.raw {
            Raw::String(string) => string.plain(),
            _ => None,
        }
    }

    /// Returns the first value, converted.
    ///
    /// The content of objects inside an event is up to the sender, and the same key may have
    /// another meaning there. So a value in such an object that cannot be converted is skipped.
    #[inline]
    pub fn convert(
        self,
        convert: impl Fn(Member<'a>) -> Result<ConvertedValue<'a>, Reject>,
    ) -> Result<ConvertedValue<'a>, Reject> {
        for member in self.members() {
            let converted = convert(member);
            if converted.is_ok() || !member.key.contains(SEPARATOR) {
                return converted;
            }
        }
        Ok(ConvertedValue::Null)
    }
}

impl Member<'_> {
    /// Creates the reject of a value that is not `expected`.
    pub fn expected(self, expected: &str) -> Reject {
        let got = match self.raw {
            Raw::Bool(value) => value.to_string(),
            Raw::Number(literal) => excerpt(literal),
            Raw::String(text) => format!("\"{}\"", excerpt(text.source())),
            Raw::Object(_) => "an object".to_owned(),
            Raw::Array(_) => "an array".to_owned(),
        };
        Reject::field(self.key, format!("expected {expected}, got {got}"))
    }
}
