//! Parses subjects of NATS.

use super::{ParseError, refuse};

/// Checks `dead_letter_subject`: a subject without wildcards, or nothing.
pub(in crate::config) fn subject_prefix(text: &str) -> Result<(), ParseError> {
    if text.is_empty() || is_subject(text) {
        return Ok(());
    }
    refuse(format!("\"{text}\" is not a NATS subject to publish to."))
}

/// Checks `nats_inbox_prefix`: a subject without wildcards.
pub(in crate::config) fn inbox_prefix(text: &str) -> Result<(), ParseError> {
    match is_subject(text) {
        true => Ok(()),
        false => refuse("It must be a NATS subject without wildcards."),
    }
}

/// Returns whether a text is a subject without wildcards.
fn is_subject(text: &str) -> bool {
    let valid = |token: &str| {
        !token.is_empty() && !token.contains(['*', '>', ' ']) && !token.contains(char::is_control)
    };
    text.split('.').all(valid)
}

/// Parses the option `subject`: subject filters separated by commas.
pub(super) fn subjects(value: &str) -> Result<Vec<String>, ParseError> {
    let subjects: Vec<String> = value.split(',').map(str::trim).map(str::to_owned).collect();
    for subject in &subjects {
        let tokens: Vec<&str> = subject.split('.').collect();
        let last = tokens.len() - 1;
        let valid = tokens.iter().enumerate().all(|(i, token)| match *token {
            "" => false,
            ">" => i == last,
            "*" => true,
            other => !other.contains(['*', '>']) && !other.contains(char::is_control),
        });
        if !valid {
            return refuse(format!("\"{subject}\" is not a NATS subject filter."));
        }
    }
    Ok(subjects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::reason;

    #[test]
    fn dead_letters_go_to_a_subject_without_wildcards() {
        assert!(subject_prefix("").is_ok() && subject_prefix("dead.letters").is_ok());
        for bad in ["dead.", "a.*", "a.>", "a b", ".a"] {
            assert!(reason(subject_prefix(bad)).contains(bad), "{bad}");
            assert!(reason(inbox_prefix(bad)).contains("wildcards"), "{bad}");
        }
        assert!(inbox_prefix("_INBOX.writer").is_ok() && inbox_prefix("").is_err());
    }
}
