//! The options of one pipeline: `key=value` pairs.

use super::names::stream_name;
use super::subjects::subjects;
use super::{ParseError, refuse};
use crate::config::ColumnstoreOption;
use decode::FormatRef;
use std::time::Duration;

/// Messages per second, the largest `max_rate`.
const RATE_MAX: u32 = 100_000_000;
/// Messages, the largest `batch_size`.
pub(in crate::config) const BATCH_SIZE_MAX: usize = 100_000;
/// The longest `batch_timeout`.
pub(in crate::config) const BATCH_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// The options of one pipeline. Those that are `None` are taken from the preset or the general
/// settings.
#[derive(Clone, Default)]
pub(in crate::config) struct Options {
    /// The format.
    pub(in crate::config) processor: Option<FormatRef>,
    /// The JetStream stream; if `None`, it is found by the first subject.
    pub(in crate::config) nats_stream: Option<String>,
    /// The subject filters.
    pub(in crate::config) subjects: Option<Vec<String>>,
    /// The destinations, perhaps schema-qualified.
    pub(in crate::config) tables: Option<Vec<String>>,
    /// Messages in a batch.
    pub(in crate::config) batch_size: Option<usize>,
    /// The age of the oldest message at which a batch is handed over.
    pub(in crate::config) batch_timeout: Option<Duration>,
    /// Messages per second; 0 for no limit.
    pub(in crate::config) max_rate: Option<u32>,
    /// The part of the destination that rows are written into.
    pub(in crate::config) columnstore: ColumnstoreOption,
}

/// Parses the value of an option into a field. The arguments are the options, the option's name and
/// the value.
type Set = fn(&mut Options, &str, &str) -> Result<(), ParseError>;

/// Every option: its name, and the function that parses its value.
const OPTIONS: [(&str, Set); 8] = [
    ("processor", |options, _, value| {
        processor(value).map(|format| options.processor = Some(format))
    }),
    ("nats_stream", |options, _, value| {
        stream_name(value).map(|name| options.nats_stream = Some(name))
    }),
    ("subject", |options, _, value| {
        subjects(value).map(|subjects| options.subjects = Some(subjects))
    }),
    ("table", |options, _, value| {
        tables(value).map(|tables| options.tables = Some(tables))
    }),
    ("batch_size", |options, key, value| {
        number(key, value, 1, BATCH_SIZE_MAX).map(|size| options.batch_size = Some(size))
    }),
    ("batch_timeout", |options, key, value| {
        duration(key, value).map(|timeout| options.batch_timeout = Some(timeout))
    }),
    ("max_rate", |options, key, value| {
        number(key, value, 0, RATE_MAX).map(|rate| options.max_rate = Some(rate))
    }),
    ("columnstore", |options, _, value| {
        columnstore(value).map(|part| options.columnstore = part)
    }),
];

/// Parses a pipeline's own options: `key=value` pairs separated by white space.
pub(in crate::config) fn options(text: &str) -> Result<Options, ParseError> {
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

/// Splits `a=b c=d` into pairs. A comma-separated list may have spaces after its commas.
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

/// Parses the value of the option `key`.
fn set(options: &mut Options, key: &str, value: &str) -> Result<(), ParseError> {
    match OPTIONS.iter().find(|(known, _)| *known == key) {
        Some((_, set)) => set(options, key, value),
        None => refuse(format!(
            "There is no option \"{key}\". Options are {}.",
            OPTIONS.map(|(known, _)| known).join(", ")
        )),
    }
}

/// Parses the option `processor`: the name of a format.
pub(in crate::config) fn processor(value: &str) -> Result<FormatRef, ParseError> {
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

/// Parses the option `columnstore`.
fn columnstore(value: &str) -> Result<ColumnstoreOption, ParseError> {
    match value {
        "default" => Ok(ColumnstoreOption::Default),
        "direct" => Ok(ColumnstoreOption::Direct),
        _ => refuse(format!(
            "Option columnstore is \"default\" or \"direct\", not \"{value}\"."
        )),
    }
}

/// Parses the option `table`: names separated by commas, which do not count in double quotes.
fn tables(value: &str) -> Result<Vec<String>, ParseError> {
    let mut is_quoted = false;
    let names = value.split(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    names.map(table).collect()
}

/// Parses one name of the option `table`, perhaps with a schema.
fn table(value: &str) -> Result<String, ParseError> {
    let parts: Vec<&str> = value.split('.').collect();
    match parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
        true => refuse(format!(
            "\"{value}\" is not a table name, with or without a schema."
        )),
        false => Ok(value.to_owned()),
    }
}

/// Parses a whole number from `min` to `max`.
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

/// Parses a number with one of PostgreSQL's units of time; without a unit, milliseconds.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::reason;

    #[test]
    fn options_are_read_with_lists_that_hold_spaces() {
        let o = options(
            "processor=logs subject=logs.a, logs.b.> table=platform.logs batch_size=7 batch_timeout=2s max_rate=0 nats_stream=events columnstore=direct",
        )
        .unwrap();
        assert_eq!(o.processor.unwrap().name(), "Logs");
        assert_eq!(o.subjects.unwrap(), ["logs.a", "logs.b.>"]);
        assert_eq!(o.tables.unwrap(), ["platform.logs"]);
        assert_eq!((o.batch_size, o.max_rate), (Some(7), Some(0)));
        assert_eq!(o.batch_timeout, Some(Duration::from_secs(2)));
        assert_eq!(o.nats_stream.unwrap(), "events");
        assert_eq!(o.columnstore, ColumnstoreOption::Direct);
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
}
