//! Text of a setting → values. Pure: what is refused here is refused when the setting is set, with
//! the same words.

use super::Columnstore;
use super::preset::{self, Preset};
use decode::FormatRef;
use std::time::Duration;

/// Longest pipeline name: it becomes part of a consumer's name, a setting's name and of rows.
const NAME_MAX: usize = 40;
/// Pipelines that one server can have.
pub const PIPELINES_MAX: usize = 32;
const RATE_MAX: u32 = 100_000_000;
pub(super) const BATCH_SIZE_MAX: usize = 100_000;
pub(super) const BATCH_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Why a setting's text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

fn refuse<T>(reason: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError(reason.into()))
}

/// Options of one pipeline; what is `None` comes from the preset or the general setting.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub(super) processor: Option<FormatRef>,
    pub(super) nats_stream: Option<String>,
    pub(super) subjects: Option<Vec<String>>,
    pub(super) table: Option<String>,
    pub(super) batch_size: Option<usize>,
    pub(super) batch_timeout: Option<Duration>,
    pub(super) max_rate: Option<u32>,
    pub(super) columnstore: Columnstore,
}

/// `streams`: names separated by commas.
pub(super) fn streams(text: &str) -> Result<Vec<String>, ParseError> {
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

/// `nats_url`: server addresses separated by commas.
pub(super) fn servers(text: &str) -> Result<Vec<String>, ParseError> {
    let servers: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(str::to_owned)
        .collect();
    if servers.is_empty() {
        return refuse("At least one server address is needed, such as nats://nats:4222.");
    }
    for server in &servers {
        // Before anything that would repeat the address.
        if server.contains('@') {
            return refuse(
                "An address may not hold a user or password: settings are visible to others.",
            );
        }
        let scheme = server.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, None | Some("nats" | "tls")) {
            return refuse(format!(
                "Address \"{server}\" must start with nats:// or tls://."
            ));
        }
        if let Err(error) = server.parse::<async_nats::ServerAddr>() {
            return refuse(format!("Address \"{server}\" is not valid: {error}."));
        }
    }
    Ok(servers)
}

/// `consumer` and `nats_domain`: one token of a NATS subject.
pub(super) fn token(text: &str) -> Result<(), ParseError> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match text.bytes().all(valid) && text.len() <= NAME_MAX {
        true => Ok(()),
        false => refuse(format!(
            "It must be at most {NAME_MAX} letters, digits, hyphens or underscores."
        )),
    }
}

/// `dead_letter_subject`: a subject without wildcards, or nothing.
pub(super) fn subject_prefix(text: &str) -> Result<(), ParseError> {
    let valid = |token: &str| {
        !token.is_empty() && !token.contains(['*', '>', ' ']) && !token.contains(char::is_control)
    };
    if text.is_empty() || text.split('.').all(valid) {
        return Ok(());
    }
    refuse(format!("\"{text}\" is not a NATS subject to publish to."))
}

/// `dead_letter_subject` of a pipeline may be in no pipeline's subjects: a notice that is read
/// again would become a dead letter, and that another notice.
pub(super) fn apart(prefix: &str, pipelines: &[(&str, &[String])]) -> Result<(), ParseError> {
    for (name, _) in pipelines {
        let subject = format!("{prefix}.{name}");
        let reads = |subjects: &[String]| subjects.iter().any(|s| nats::matches(s, &subject));
        if let Some((reader, _)) = pipelines.iter().find(|(_, subjects)| reads(subjects)) {
            return refuse(format!(
                "dead_letter_subject: stream {reader} reads \"{subject}\", so notices would come back as messages."
            ));
        }
    }
    Ok(())
}

/// A stream's own options: `key=value` pairs separated by white space.
pub(super) fn options(text: &str) -> Result<Options, ParseError> {
    let mut options = Options::default();
    let mut seen: Vec<String> = Vec::new();
    for pair in pairs(text)? {
        let (key, value) = pair;
        if seen.contains(&key) {
            return refuse(format!("Option \"{key}\" is given twice."));
        }
        set(&mut options, &key, &value)?;
        seen.push(key);
    }
    Ok(options)
}

/// Splits `a=b c=d`. A comma-separated list may hold spaces after its commas.
fn pairs(text: &str) -> Result<Vec<(String, String)>, ParseError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for word in text.split_whitespace() {
        match (word.split_once('='), pairs.last_mut()) {
            (Some((key, value)), _) => pairs.push((key.to_owned(), value.to_owned())),
            (None, Some((_, list))) if list.ends_with(',') => list.push_str(word),
            _ => return refuse(format!("\"{word}\" is not of the form key=value.")),
        }
    }
    Ok(pairs)
}

fn set(options: &mut Options, key: &str, value: &str) -> Result<(), ParseError> {
    match key {
        "processor" => options.processor = Some(processor(value)?),
        "nats_stream" => options.nats_stream = Some(stream_name(value)?),
        "subject" => options.subjects = Some(subjects(value)?),
        "table" => options.table = Some(table(value)?),
        "batch_size" => options.batch_size = Some(number(key, value, 1, BATCH_SIZE_MAX)?),
        "batch_timeout" => options.batch_timeout = Some(duration(key, value)?),
        "max_rate" => options.max_rate = Some(number(key, value, 0, RATE_MAX)?),
        "columnstore" => options.columnstore = columnstore(value)?,
        _ => {
            return refuse(format!(
                "There is no option \"{key}\". Options are processor, nats_stream, subject, table, batch_size, batch_timeout, max_rate and columnstore."
            ));
        }
    }
    Ok(())
}

fn processor(value: &str) -> Result<FormatRef, ParseError> {
    let known = || {
        decode::formats()
            .iter()
            .map(|f| f.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    decode::format(value).cloned().ok_or_else(|| {
        ParseError(format!(
            "There is no processor \"{value}\". Processors are {}.",
            known()
        ))
    })
}

fn columnstore(value: &str) -> Result<Columnstore, ParseError> {
    match value {
        "default" => Ok(Columnstore::Default),
        "direct" => Ok(Columnstore::Direct),
        _ => refuse(format!(
            "Option columnstore is \"default\" or \"direct\", not \"{value}\"."
        )),
    }
}

fn stream_name(value: &str) -> Result<String, ParseError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    match value.is_empty() || value.contains(bad) {
        true => refuse(format!(
            "\"{value}\" is not the name of a JetStream stream."
        )),
        false => Ok(value.to_owned()),
    }
}

fn subjects(value: &str) -> Result<Vec<String>, ParseError> {
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

fn table(value: &str) -> Result<String, ParseError> {
    let parts: Vec<&str> = value.split('.').collect();
    match parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
        true => refuse(format!(
            "\"{value}\" is not a table name, with or without a schema."
        )),
        false => Ok(value.to_owned()),
    }
}

fn number<N>(key: &str, value: &str, min: N, max: N) -> Result<N, ParseError>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match value.parse::<N>() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => refuse(format!(
            "{key} must be a whole number from {min} to {max}, not \"{value}\"."
        )),
    }
}

/// A number with one of PostgreSQL's units of time; without a unit, milliseconds.
fn duration(key: &str, value: &str) -> Result<Duration, ParseError> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (amount, unit) = value.split_at(digits);
    let factor = match unit {
        "us" => Some(Duration::from_micros(1)),
        "ms" | "" => Some(Duration::from_millis(1)),
        "s" => Some(Duration::from_secs(1)),
        "min" => Some(Duration::from_secs(60)),
        "h" => Some(Duration::from_secs(3_600)),
        _ => None,
    };
    let duration = amount
        .parse::<u32>()
        .ok()
        .zip(factor)
        .and_then(|(n, f)| f.checked_mul(n));
    match duration {
        Some(duration) if (Duration::from_millis(1)..=BATCH_TIMEOUT_MAX).contains(&duration) => {
            Ok(duration)
        }
        _ => refuse(format!(
            "{key} must be a time from 1ms to {}s, such as 500ms or 2s, not \"{value}\".",
            BATCH_TIMEOUT_MAX.as_secs()
        )),
    }
}

/// A pipeline with every option settled.
pub(super) struct Settled {
    pub(super) format: FormatRef,
    pub(super) subjects: Vec<String>,
    pub(super) batch_size: usize,
    pub(super) batch_timeout: Duration,
}

/// Own options, then the preset's, then the general settings.
pub(super) fn settle(
    name: &str,
    options: &Options,
    batch_size: usize,
    batch_timeout: Duration,
) -> Result<Settled, ParseError> {
    let preset: Option<&Preset> = preset::find(name);
    let format = match (&options.processor, preset) {
        (Some(format), _) => format.clone(),
        (None, Some(preset)) => processor(preset.processor)?,
        (None, None) => {
            return refuse(format!(
                "Pipeline \"{name}\" is not a preset, so sr_event_writer.stream_{name} must give its processor."
            ));
        }
    };
    let subjects = match (&options.subjects, preset) {
        (Some(subjects), _) => subjects.clone(),
        (None, Some(preset)) => vec![preset.subject.to_owned()],
        (None, None) => {
            return refuse(format!(
                "Pipeline \"{name}\" is not a preset, so sr_event_writer.stream_{name} must give its subject."
            ));
        }
    };
    Ok(Settled {
        format,
        subjects,
        batch_size: options
            .batch_size
            .or(preset.map(|p| p.batch_size))
            .unwrap_or(batch_size),
        batch_timeout: options
            .batch_timeout
            .or(preset.map(|p| p.batch_timeout))
            .unwrap_or(batch_timeout),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason<T>(result: Result<T, ParseError>) -> String {
        result.err().unwrap().0
    }

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
    fn server_addresses_are_checked_and_hold_no_secret() {
        let two = servers("nats://a:4222, tls://b:4223").unwrap();
        assert_eq!(two, ["nats://a:4222", "tls://b:4223"]);
        assert!(servers("localhost:4222").is_ok());
        assert!(reason(servers(" ")).contains("At least one"));
        assert!(reason(servers("http://a")).contains("nats://"));
        let secret = reason(servers("nats://user:secret@a:4222"));
        assert!(secret.contains("visible") && !secret.contains("secret@"));
        assert!(reason(servers("nats://a:port")).contains("not valid"));
    }

    #[test]
    fn options_are_read_with_lists_that_hold_spaces() {
        let o = options(
            "processor=logs subject=logs.a, logs.b.> table=platform.logs batch_size=7 batch_timeout=2s max_rate=0 nats_stream=events columnstore=direct",
        )
        .unwrap();
        assert_eq!(o.processor.unwrap().name(), "Logs");
        assert_eq!(o.subjects.unwrap(), ["logs.a", "logs.b.>"]);
        assert_eq!(o.table.unwrap(), "platform.logs");
        assert_eq!((o.batch_size, o.max_rate), (Some(7), Some(0)));
        assert_eq!(o.batch_timeout, Some(Duration::from_secs(2)));
        assert_eq!(o.nats_stream.unwrap(), "events");
        assert_eq!(o.columnstore, Columnstore::Direct);
    }

    #[test]
    fn every_bad_option_is_named() {
        for (text, part) in [
            ("batch_size", "key=value"),
            ("batch_size=0", "from 1 to"),
            ("batch_size=many", "batch_size"),
            ("batch_size=1 batch_size=2", "twice"),
            ("batch_timeout=0ms", "batch_timeout"),
            ("batch_timeout=2weeks", "2weeks"),
            ("max_rate=-1", "max_rate"),
            ("columnstore=on", "columnstore"),
            ("processor=Nope", "Telemetry, Events"),
            ("subject=a..b", "a..b"),
            ("subject=a.>.b", "a.>.b"),
            ("nats_stream=a.b", "a.b"),
            ("table=a.b.c", "a.b.c"),
            ("colour=red", "colour"),
        ] {
            let reason = reason(options(text).map(|_| ()));
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn own_options_go_before_the_preset_and_the_preset_before_the_general_setting() {
        let general = (9, Duration::from_secs(9));
        let plain = settle("netflow", &Options::default(), general.0, general.1).unwrap();
        assert_eq!(
            (plain.batch_size, plain.batch_timeout),
            (200, Duration::from_millis(500))
        );
        assert_eq!(plain.subjects, ["netflow.>"]);
        let own = options("batch_size=3 subject=flows.raw").unwrap();
        let own = settle("netflow", &own, general.0, general.1).unwrap();
        assert_eq!(
            (own.batch_size, own.subjects),
            (3, vec!["flows.raw".to_owned()])
        );
        let mine = options("processor=Logs subject=x").unwrap();
        let mine = settle("mine", &mine, general.0, general.1).unwrap();
        assert_eq!((mine.batch_size, mine.batch_timeout), general);
    }

    #[test]
    fn a_pipeline_that_is_no_preset_needs_processor_and_subject() {
        let missing = |text: &str| {
            let options = options(text).unwrap();
            reason(settle("mine", &options, 1, Duration::from_secs(1)).map(|_| ()))
        };
        assert!(missing("subject=x").contains("processor"));
        assert!(missing("processor=Logs").contains("subject"));
    }

    #[test]
    fn dead_letters_go_to_a_subject_without_wildcards() {
        assert!(subject_prefix("").is_ok() && subject_prefix("dead.letters").is_ok());
        for bad in ["dead.", "a.*", "a.>", "a b", ".a"] {
            assert!(reason(subject_prefix(bad)).contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_is_a_token() {
        assert!(token("db-writer_1").is_ok() && token("").is_ok());
        assert!(reason(token("a.b")).contains("letters"));
    }

    #[test]
    fn notices_may_not_come_back_as_messages() {
        let (logs, events) = (["logs.>".to_owned()], ["events.syslog".to_owned()]);
        let pipelines = [("logs", &logs[..]), ("events", &events[..])];
        assert!(apart("dead", &pipelines).is_ok());
        assert!(apart("logs.dead", &pipelines).is_err());
        assert!(apart("events.dead", &pipelines).is_ok());
        let all = [(">", &[">".to_owned()][..])];
        assert!(apart("dead", &all).is_err());
    }
}
