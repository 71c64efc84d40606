//! Names of pipelines, streams and consumers.

use super::{ParseError, refuse};

/// Bytes of the longest name: a pipeline's name becomes part of a consumer's name, of a setting's
/// name and of rows.
const NAME_MAX: usize = 40;
/// The largest number of pipelines of one server.
pub const PIPELINES_MAX: usize = 32;

/// Parses `streams`: names separated by commas.
pub(in crate::config) fn streams(text: &str) -> Result<Vec<String>, ParseError> {
    let mut names: Vec<String> = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let valid = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !valid || name.len() > NAME_MAX {
            return refuse(format!(
                "Pipeline name \"{name}\" must be at most {NAME_MAX} lower-case letters, digits or underscores."
            ));
        }
        if names.iter().any(|known| known == name) {
            return refuse(format!("Pipeline \"{name}\" is named twice."));
        }
        names.push(name.to_owned());
    }
    if names.len() > PIPELINES_MAX {
        return refuse(format!("There may be at most {PIPELINES_MAX} pipelines."));
    }
    Ok(names)
}

/// Checks `consumer` or `nats_domain`: a single token of a NATS subject. An empty text is accepted.
pub(in crate::config) fn token(text: &str) -> Result<(), ParseError> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match text.bytes().all(valid) && text.len() <= NAME_MAX {
        true => Ok(()),
        false => refuse(format!(
            "It must be at most {NAME_MAX} letters, digits, hyphens or underscores."
        )),
    }
}

/// Parses the option `nats_stream`: the name of a JetStream stream.
pub(super) fn stream_name(value: &str) -> Result<String, ParseError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    match value.is_empty() || value.contains(bad) {
        true => refuse(format!(
            "\"{value}\" is not the name of a JetStream stream."
        )),
        false => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::reason;

    #[test]
    fn stream_names_are_trimmed_and_checked() {
        assert_eq!(
            streams("telemetry, my_logs2 ,").unwrap(),
            ["telemetry", "my_logs2"]
        );
        assert!(streams("").unwrap().is_empty());
        assert!(reason(streams("Telemetry")).contains("lower-case"));
        assert!(reason(streams("a,b,a")).contains("twice"));
        let many = (0..33)
            .map(|n| format!("s{n}"))
            .collect::<Vec<_>>()
            .join(",");
        assert!(reason(streams(&many)).contains("at most 32"));
    }

    #[test]
    fn a_token_is_a_token() {
        assert!(token("db-writer_1").is_ok() && token("").is_ok());
        assert!(reason(token("a.b")).contains("letters"));
    }
}
