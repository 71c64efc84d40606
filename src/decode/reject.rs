//! Why a message became no rows. The text ends up in dead letters and logs, so it names the field
//! and never carries more than a few words of the payload.

use std::fmt;

/// Most characters of a payload that a reject repeats.
const EXCERPT: usize = 60;

/// What is wrong with a payload, such as
/// `element 3, field "if_index": expected a 32-bit integer, got 3.5`.
///
/// Boxed, because every field of every message comes with the possibility of one, and what is large
/// is copied slowly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject(Box<Particulars>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Particulars {
    element: Option<usize>,
    field: Option<String>,
    problem: String,
}

impl Reject {
    /// The payload as a whole is unusable.
    pub(crate) fn payload(problem: impl Into<String>) -> Self {
        Self::new(None, problem.into())
    }

    /// What surrounds the payload is unusable.
    pub fn message(problem: impl Into<String>) -> Self {
        Self::new(None, problem.into())
    }

    /// One field is unusable.
    pub(crate) fn field(name: &str, problem: impl Into<String>) -> Self {
        Self::new(Some(name.to_owned()), problem.into())
    }

    fn new(field: Option<String>, problem: String) -> Self {
        Self(Box::new(Particulars {
            element: None,
            field,
            problem,
        }))
    }

    /// The same, found in one object of an array.
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

/// The start of a value, for a reject that repeats it.
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
