//! The two kinds of CloudEvents whose `data` has a known form (docs/formats.md, Events). Some of
//! their columns are composed from it, with the same result as in `db-event-writer`.

use std::borrow::Cow;

use row::Cell::{Int4, Text};
use row::Kind;

use crate::json::Raw;
use crate::json_object::{
    ColumnMapping, ConvertedValue, Member, Source, Variant, computed, convert, converted, int4,
    text,
};
use crate::{Message, Reject};

/// The keys by which such an event is recognized.
const KEYS: &[&str] = &["type", "subject", "data"];
/// The version that both kinds get, whatever the event contains.
const VERSION: ColumnMapping = text("version", &[]).or(Text("1.1"));

/// A change of a poller's health.
pub(super) const POLLER_HEALTH: Variant = Variant {
    keys: KEYS,
    applies: |event, message| {
        const TYPE: &str = "com.carverauto.serviceradar.poller.health";
        has_type_or_subject(event, message, TYPE, "events.poller.health")
    },
    mappings: &[
        converted("level", Kind::Int4, &["data/current_state"], health_level).or(Int4(6)),
        converted(
            "severity",
            Kind::Text,
            &["data/current_state"],
            health_severity,
        )
        .or(Text("info")),
        computed(
            "short_message",
            Kind::Text,
            &[
                "data/poller_id",
                "data/previous_state",
                "data/current_state",
            ],
            health_message,
        ),
        VERSION,
    ],
};

/// A device that was added, removed or changed.
pub(super) const DEVICE_LIFECYCLE: Variant = Variant {
    keys: KEYS,
    applies: |event, message| {
        const TYPE: &str = "com.carverauto.serviceradar.device.lifecycle";
        has_type_or_subject(event, message, TYPE, "events.devices.lifecycle")
    },
    mappings: &[
        text("host", &["data/device_id"]),
        int4("level", &["data/level"]).or(Int4(5)),
        text("severity", &["data/severity"]).or(Text("Medium")),
        computed(
            "short_message",
            Kind::Text,
            &[
                "data/device_id",
                "data/action",
                "data/actor",
                "data/metadata/previous_service_id",
                "data/metadata/alias_current_service_id",
                "data/metadata/previous_ip",
                "data/metadata/alias_current_ip",
                "data/metadata/previous_collector_ip",
                "data/metadata/alias_collector_ip",
            ],
            lifecycle_message,
        ),
        VERSION,
    ],
};

/// Returns whether an event's `data` is an object and the event has this type or subject. An event
/// without a subject has that of its message.
fn has_type_or_subject(
    event: Source<'_, '_>,
    message: &Message<'_>,
    event_type: &str,
    subject: &str,
) -> bool {
    let own = event.text("subject");
    let actual = if own.is_empty() {
        message.subject
    } else {
        &own
    };
    let data = event.get("data").map(|member| member.raw);
    matches!(data, Some(Raw::Object(_))) && (event.text("type") == event_type || actual == subject)
}

/// Returns the syslog level of a poller's state.
fn health_level(state: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    health(state).map(|(level, _)| ConvertedValue::Int4(level))
}

/// Returns the severity of a poller's state.
fn health_severity(state: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    health(state).map(|(_, severity)| ConvertedValue::Text(severity.into()))
}

/// Returns the syslog level and the severity of a poller's state.
fn health(state: Member<'_>) -> Result<(i32, &'static str), Reject> {
    Ok(match convert::text(state)? {
        ConvertedValue::Text(state) if state == "unhealthy" => (3, "error"),
        ConvertedValue::Text(state) if state == "unknown" => (5, "notice"),
        _ => (6, "info"),
    })
}

/// Composes the message of a poller's change.
fn health_message<'a>(event: Source<'_, 'a>) -> Result<ConvertedValue<'a>, Reject> {
    let poller = event.text("data/poller_id");
    let previous = event.text("data/previous_state");
    let current = event.text("data/current_state");
    let message = format!("Poller {poller} state changed from {previous} to {current}");
    Ok(ConvertedValue::Text(message.into()))
}

/// Composes the message of a device's change.
fn lifecycle_message<'a>(event: Source<'_, 'a>) -> Result<ConvertedValue<'a>, Reject> {
    let device = event.text("data/device_id");
    let action = match event.text("data/action").to_lowercase() {
        action if action.is_empty() => Cow::Borrowed("updated"),
        action => Cow::Owned(action),
    };
    let actor = event.text("data/actor");
    let message = if action == "alias_updated" {
        match changes(event) {
            changes if changes.is_empty() => format!("Device {device} alias updated"),
            changes => format!("Device {device} alias updated ({})", changes.join(", ")),
        }
    } else if actor.is_empty() {
        format!("Device {device} {action}")
    } else {
        format!("Device {device} {action} by {actor}")
    };
    Ok(ConvertedValue::Text(message.into()))
}

/// Describes the changes of a device's aliases.
fn changes(event: Source<'_, '_>) -> Vec<String> {
    const PAIRS: [(&str, &str, &str); 3] = [
        (
            "service",
            "data/metadata/previous_service_id",
            "data/metadata/alias_current_service_id",
        ),
        (
            "ip",
            "data/metadata/previous_ip",
            "data/metadata/alias_current_ip",
        ),
        (
            "collector",
            "data/metadata/previous_collector_ip",
            "data/metadata/alias_collector_ip",
        ),
    ];
    let change = |(label, old, new): (&str, &str, &str)| {
        let (old, new) = (event.text(old), event.text(new));
        match (old.is_empty(), new.is_empty()) {
            (true, true) => None,
            (true, false) => Some(format!("{label} {new}")),
            (false, true) => Some(format!("{label} removed (was {old})")),
            (false, false) => (old != new).then(|| format!("{label} {old}→{new}")),
        }
    };
    PAIRS.into_iter().filter_map(change).collect()
}
