//! The reason why a message gave no rows. The text is written to dead letters and logs, so it names
//! the field and never repeats more than `EXCERPT` characters of the payload.

use std::fmt;

/// The largest number of characters of a payload that a reject repeats.
const EXCERPT: usize = 60;

/// The refusal of a payload, with the reason, such as
/// `element 3, field "if_index": expected a 32-bit integer, got 3.5`.
///
/// Boxed to keep results small: each field of each message returns one, and large values are slow
/// to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject(Box<RejectDetails>);

/// The content of a [`Reject`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct RejectDetails {
    /// The index of the object in the payload's array.
    element: Option<usize>,
    /// The key or the column.
    field: Option<String>,
    /// The problem, as text.
    problem: String,
}

impl Reject {
    /// Creates the reject of a payload that is unusable as a whole.
    pub(crate) fn payload(problem: impl Into<String>) -> Self {
        Self::new(None, problem.into())
    }

    /// Creates the reject of a message that is unusable for a reason outside its payload.
    pub fn message(problem: impl Into<String>) -> Self {
        Self::new(None, problem.into())
    }

    /// Creates the reject of one unusable field.
    pub(crate) fn field(name: &str, problem: impl Into<String>) -> Self {
        Self::new(Some(name.to_owned()), problem.into())
    }

    fn new(field: Option<String>, problem: String) -> Self {
        Self(Box::new(RejectDetails {
            element: None,
            field,
            problem,
        }))
    }

    /// Adds the index of the object, in the payload's array, that the reject is about.
    pub(crate) fn in_element(mut self, index: usize) -> Self {
        self.0.element = Some(index);
        self
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.element, &self.0.field) {
            (None, None) => {}
            (Some(index), None) => write!(out, "element {index}: ")?,
            (None, Some(field)) => write!(out, "field \"{field}\": ")?,
            (Some(index), Some(field)) => write!(out, "element {index}, field \"{field}\": ")?,
        }
        out.write_str(&self.0.problem)
    }
}

impl std::error::Error for Reject {}

/// Returns the start of a value, for a reject that repeats it.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::reject;

    #[test]
    fn a_reject_names_the_field_and_the_element() {
        assert_eq!(
            reject("Telemetry", r#"{"if_index":3.5}"#),
            r#"field "if_index": expected a 32-bit integer, got 3.5"#
        );
        assert_eq!(
            reject("Telemetry", r#"[{},{"ifIndex":[3]}]"#),
            r#"element 1, field "ifIndex": expected a 32-bit integer, got an array"#
        );
        assert_eq!(
            reject("Sweep", r#"[{"ip":"a"},{"poller_id":"p"}]"#),
            r#"element 1, field "host_ip": missing"#
        );
    }

    #[test]
    fn a_reject_repeats_only_the_start_of_a_value() {
        let text = reject(
            "Telemetry",
            &format!(r#"{{"scale":"{}"}}"#, "ü".repeat(5000)),
        );
        assert_eq!(text.matches('ü').count(), 60);
        assert!(text.ends_with("…\""), "{text}");
    }
}
