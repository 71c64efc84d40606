//! What one field sees of one object: the values of its own keys and nothing else.

use std::borrow::Cow;

use super::{Value, convert};
use crate::Reject;
use crate::json::{Raw, SEPARATOR, Slots};
use crate::reject::excerpt;

/// The values of a field's keys in one object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'s, 'a> {
    pub values: &'s Slots<'a>,
    /// The field's keys in order of preference, and beside each its slot in `values`.
    pub keys: &'static [&'static str],
    pub slots: &'s [usize],
    /// Whether `false` is a value. Outside boolean columns it counts as absent.
    pub keep_false: bool,
}

/// The value of a key, with the key's name for the case that it is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub key: &'static str,
    pub raw: Raw<'a>,
}

impl<'s, 'a> Source<'s, 'a> {
    /// The keys that have a value, the preferred one first.
    pub fn found(self) -> impl Iterator<Item = Found<'a>> + use<'s, 'a> {
        self.keys
            .iter()
            .zip(self.slots)
            .filter_map(move |(key, slot)| {
                let raw = (*self.values.get(*slot)?)?;
                (self.keep_false || raw != Raw::Bool(false)).then_some(Found { key, raw })
            })
    }

    /// The value of one of the keys.
    pub fn get(self, key: &str) -> Option<Found<'a>> {
        self.found().find(|found| found.key == key)
    }

    /// The text of one of the keys, empty when there is none.
    pub fn text(self, key: &str) -> Cow<'a, str> {
        match self.get(key).map(convert::text) {
            Some(Ok(Value::Text(text))) => text,
            _ => Cow::Borrowed(""),
        }
    }

    /// The first value, if it is a string that stands for itself. It is taken without a [`Value`]
    /// in between, whose way through memory costs more than all the rest.
    pub fn plain_text(self) -> Option<&'a str> {
        match self.found().next()?.raw {
            Raw::String(string) => string.plain(),
            _ => None,
        }
    }

    /// The first value, converted.
    ///
    /// Objects inside an event are the sender's own business, and the same word may mean
    /// something else there: a value in one that does not convert is passed over.
    #[inline]
    pub fn convert(
        self,
        convert: impl Fn(Found<'a>) -> Result<Value<'a>, Reject>,
    ) -> Result<Value<'a>, Reject> {
        for found in self.found() {
            let converted = convert(found);
            if converted.is_ok() || !found.key.contains(SEPARATOR) {
                return converted;
            }
        }
        Ok(Value::Null)
    }
}

impl Found<'_> {
    /// The reject of a value that should have been something else.
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
