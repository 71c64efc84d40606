//! Reads a payload once and gives, object by object, the values of the keys that a format uses.
//! Values are skipped, not parsed: serde_json does that in constant stack.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::keys::{Keys, ObjectKeys};
use super::raw::{Raw, RawString};
use crate::Reject;

/// The values of one object, by slot. If a key occurs twice, the later value counts.
pub(crate) type Slots<'a> = [Option<Raw<'a>>];

/// Calls `each` with the index and the values of every object: the payload itself, or the elements
/// of the array that it is.
pub(crate) fn each_object<'a>(
    payload: &'a str,
    keys: &Keys,
    mut each: impl FnMut(usize, &Slots<'a>) -> Result<(), Reject>,
) -> Result<(), Reject> {
    let slots = &mut vec![None; keys.len()];
    let mut reader = serde_json::Deserializer::from_str(payload);
    match payload.trim_ascii_start().as_bytes().first() {
        Some(b'{') => {
            let object = ObjectSeed { keys, slots };
            let read = object.deserialize(&mut reader);
            read.map_err(|e| invalid(&e))?;
            reader.end().map_err(|e| invalid(&e))?;
            each(0, slots)
        }
        Some(b'[') => {
            let mut elements = ElementVisitor {
                keys,
                slots,
                each,
                at: 0,
                reject: None,
            };
            let read = reader.deserialize_seq(&mut elements);
            let (at, reject) = (elements.at, elements.reject);
            read.map_err(|e| reject.unwrap_or_else(|| invalid(&e)).in_element(at))?;
            reader.end().map_err(|e| invalid(&e))
        }
        Some(_) => Err(Reject::payload(
            "expected a JSON object or an array of objects",
        )),
        None => Err(Reject::payload("expected a JSON object, got nothing")),
    }
}

/// Turns an error of serde_json into a reject. Its own text for a wrong type would repeat the
/// value, however long it is.
fn invalid(error: &serde_json::Error) -> Reject {
    if error.is_data() {
        Reject::payload("expected a JSON object")
    } else {
        Reject::payload(format!("invalid JSON: {error}"))
    }
}

/// Reads the objects of an array, and passes each on as soon as it is read.
struct ElementVisitor<'k, 's, 'a, F> {
    keys: &'k Keys,
    slots: &'s mut Slots<'a>,
    each: F,
    /// The index of the element being read.
    at: usize,
    /// The reject that `each` returned, because serde's error cannot contain it.
    reject: Option<Reject>,
}

impl<'a, F> Visitor<'a> for &mut ElementVisitor<'_, '_, 'a, F>
where
    F: FnMut(usize, &Slots<'a>) -> Result<(), Reject>,
{
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<(), A::Error> {
        loop {
            let object = ObjectSeed {
                keys: self.keys,
                slots: self.slots,
            };
            if array.next_element_seed(object)?.is_none() {
                return Ok(());
            }
            if let Err(reject) = (self.each)(self.at, self.slots) {
                self.reject = Some(reject);
                return Err(A::Error::custom("rejected"));
            }
            self.slots.fill(None);
            self.at += 1;
        }
    }
}

/// Reads the values of all keys of one object, also those in nested objects, into slots that are
/// empty before.
struct ObjectSeed<'k, 's, 'a> {
    keys: &'k Keys,
    slots: &'s mut Slots<'a>,
}

impl<'a> DeserializeSeed<'a> for ObjectSeed<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(MemberVisitor {
            keys: self.keys.top(),
            slots: self.slots,
        })?;
        for inner in self.keys.inner_objects() {
            if let Some(Some(Raw::Object(text))) = self.slots.get(inner.slot).copied() {
                let members = MemberVisitor {
                    keys: &inner.keys,
                    slots: self.slots,
                };
                let mut reader = serde_json::Deserializer::from_str(text);
                reader.deserialize_map(members).map_err(D::Error::custom)?;
            }
        }
        Ok(())
    }
}

/// Reads the members of one object, without those of nested objects.
struct MemberVisitor<'k, 's, 'a> {
    keys: &'k ObjectKeys,
    slots: &'s mut Slots<'a>,
}

impl<'a> Visitor<'a> for MemberVisitor<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(key) = object.next_key::<&'a RawValue>()? {
            // Like the values, the key is read as raw text, because serde_json would fail for one
            // with an unpaired surrogate.
            let key = RawString::new(key.get());
            let known = self
                .keys
                .slot(key.source())
                .or_else(|| self.keys.slot(&key.text()));
            match known.and_then(|slot| self.slots.get_mut(slot)) {
                Some(slot) => *slot = Raw::new(object.next_value::<&'a RawValue>()?.get()),
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the values of `a` and `o/b` in each object of a payload.
    fn read<'a>(payload: &'a str) -> Result<Vec<[Option<Raw<'a>>; 2]>, String> {
        let mut keys = Keys::default();
        let slots = [keys.add("a"), keys.add("o/b")];
        let mut objects = Vec::new();
        let each = |index: usize, values: &Slots<'a>| {
            assert_eq!(index, objects.len());
            objects.push(slots.map(|slot| values[slot]));
            Ok(())
        };
        each_object(payload, &keys, each).map_err(|reject| reject.to_string())?;
        Ok(objects)
    }

    fn number(text: &str) -> Option<Raw<'_>> {
        Some(Raw::Number(text))
    }

    #[test]
    fn one_object_or_an_array_of_them() {
        assert_eq!(read(" { } \n").unwrap(), [[None, None]]);
        assert_eq!(read("[ ]").unwrap(), [[None; 2]; 0]);
        assert_eq!(
            read(r#"{"a":1.50,"x":[{"a":2}]}"#).unwrap(),
            [[number("1.50"), None]]
        );
        assert_eq!(
            read(r#"[{"a":1},{},{"a":3}]"#).unwrap(),
            [[number("1"), None], [None, None], [number("3"), None]]
        );
    }

    #[test]
    fn inner_objects_are_looked_into() {
        assert_eq!(
            read(r#"{"o":{"b":1},"b":2}"#).unwrap(),
            [[None, number("1")]]
        );
        for other in [
            r#"{"o":[{"b":1}]}"#,
            r#"{"o":"b"}"#,
            r#"{"o":null}"#,
            r#"{"o":{}}"#,
        ] {
            assert_eq!(read(other).unwrap(), [[None, None]], "{other}");
        }
    }

    #[test]
    fn of_a_key_that_occurs_twice_the_later_value_counts() {
        assert_eq!(read(r#"{"a":1,"a":2}"#).unwrap(), [[number("2"), None]]);
        assert_eq!(read(r#"{"a":1,"a":null}"#).unwrap(), [[None, None]]);
        assert_eq!(
            read(r#"{"o":{"b":1},"o":{"b":2}}"#).unwrap(),
            [[None, number("2")]]
        );
        assert_eq!(read(r#"{"o":{"b":1},"o":{}}"#).unwrap(), [[None, None]]);
    }

    #[test]
    fn keys_are_compared_by_what_they_stand_for() {
        assert_eq!(read(r#"{"\u0061":1}"#).unwrap(), [[number("1"), None]]);
        assert_eq!(
            read(r#"{"\ud800":1,"a":2}"#).unwrap(),
            [[number("2"), None]]
        );
        assert_eq!(read(r#"{"A":1,"":2,"ä":3}"#).unwrap(), [[None, None]]);
    }

    #[test]
    fn anything_else_is_rejected() {
        for (payload, problem) in [
            ("", "expected a JSON object, got nothing"),
            (" \n", "expected a JSON object, got nothing"),
            ("null", "expected a JSON object or an array of objects"),
            ("12", "expected a JSON object or an array of objects"),
            ("\"{}\"", "expected a JSON object or an array of objects"),
            ("[null]", "element 0: expected a JSON object"),
            ("[{},\"text\"]", "element 1: expected a JSON object"),
            ("[{},[]]", "element 1: expected a JSON object"),
            (
                "{",
                "invalid JSON: EOF while parsing an object at line 1 column 1",
            ),
            (
                "{}{}",
                "invalid JSON: trailing characters at line 1 column 3",
            ),
            (
                "[{}] x",
                "invalid JSON: trailing characters at line 1 column 6",
            ),
            (
                "[{},{",
                "element 1: invalid JSON: EOF while parsing an object at line 1 column 5",
            ),
        ] {
            assert_eq!(read(payload).unwrap_err(), problem, "{payload}");
        }
        for payload in [
            r#"{"a":01}"#,
            r#"{"a":nul}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":\"\n\"}",
            "{a:1}",
        ] {
            assert!(
                read(payload).unwrap_err().starts_with("invalid JSON: "),
                "{payload}"
            );
        }
    }
}
