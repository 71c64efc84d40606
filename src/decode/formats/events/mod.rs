//! Events: CloudEvents and GELF messages, from `events.>` to table `events` (docs/formats.md,
//! Events).
//!
//! A value that is missing in a CloudEvent itself is taken from the object in its `data`. The two
//! kinds of events whose `data` has a known form are in `cloud_event`.

mod cloud_event;
#[cfg(test)]
mod tests;

use row::{Kind, Table};

use crate::json::Raw;
use crate::json_object::{
    ColumnMapping, ConvertedValue, Member, ObjectFormat, Variant, columns, convert, converted,
    text, time, timestamp,
};
use crate::{Preset, Reject, ids};

/// The default options of a pipeline of this format.
pub(super) const PRESET: Preset = Preset {
    pipeline: "events",
    format: NAME,
    subject: "events.>",
    batch_size: 100,
    batch_timeout_ms: 1000,
};
const NAME: &str = "Events";

/// Creates the format with its table.
pub(super) fn format() -> ObjectFormat {
    let table = Table::new("events", columns(&MAPPINGS), "event_timestamp").updating(
        &["event_timestamp", "id"],
        &["short_message", "level", "severity"],
    );
    ObjectFormat::with_variants(NAME, table, &MAPPINGS, &VARIANTS)
}

static VARIANTS: [Variant; 2] = [cloud_event::POLLER_HEALTH, cloud_event::DEVICE_LIFECYCLE];

#[rustfmt::skip] // One line per column.
static MAPPINGS: [ColumnMapping; 13] = [
    timestamp("event_timestamp", &["time", "timestamp", "data/timestamp"], time::seconds)
        .required(),
    text("specversion", &["specversion"]),
    text("id", &["id"]).or_derived(ids::uuid).required(),
    text("source", &["source"]),
    text("type", &["type"]),
    text("datacontenttype", &["datacontenttype"]),
    text("subject", &["subject"]),
    text("remote_addr", &["remote_addr", "remoteAddr", "_remote_addr",
        "data/remote_addr", "data/remoteAddr", "data/_remote_addr"]),
    text("host", &["host", "data/host"]),
    converted("level", Kind::Int4, &["level", "data/level"], level),
    converted("severity", Kind::Text,
        &["severity", "data/severity", "level", "data/level"], severity),
    converted("short_message", Kind::Text, &["short_message", "message", "msg",
        "data/message", "data/msg", "data/short_message", "data"], short_message),
    text("version", &["version", "data/version"]),
];

/// The severities of syslog (RFC 5424), by level.
const SEVERITIES: [&str; 8] = [
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "info",
    "debug",
];

/// Converts a level, given as a number or as its word. Any other word gives NULL.
fn level(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    let number = convert::int4(member);
    let Raw::String(word) = member.raw else {
        return number;
    };
    let known = (0..)
        .zip(SEVERITIES)
        .find(|(_, known)| word.text() == *known);
    Ok(known.map_or_else(
        || number.unwrap_or(ConvertedValue::Null),
        |(level, _)| ConvertedValue::Int4(level),
    ))
}

/// Converts a severity, or returns the word for a level.
fn severity(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    if matches!(member.key, "severity" | "data/severity") {
        return convert::text(member);
    }
    let ConvertedValue::Int4(level) = level(member)? else {
        return Ok(ConvertedValue::Null);
    };
    let word = usize::try_from(level)
        .ok()
        .and_then(|level| SEVERITIES.get(level));
    Ok(word.map_or(ConvertedValue::Null, |word| {
        ConvertedValue::Text((*word).into())
    }))
}

/// Converts a message. `data` is a message only if it is a string; an object in it may contain one
/// under its own keys.
fn short_message(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match member {
        Member {
            key: "data",
            raw: Raw::String(string),
        } => Ok(ConvertedValue::Text(string.text())),
        Member { key: "data", .. } => Ok(ConvertedValue::Null),
        _ => convert::text(member),
    }
}
