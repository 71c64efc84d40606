use crate::Message;
use crate::testing::{assert_row, cell, message, reject, rows_of};

const TIME: &str = "2025-12-29T16:43:34.000000";

#[test]
fn e1_a_cloud_event_with_a_message_in_its_data() {
    assert_row(
        "Events",
        r#"{"specversion":"1.0","id":"ev-1","source":"nats://events/events.syslog","type":"syslog","time":"2025-12-29T16:43:34Z","subject":"events.syslog","data":{"message":"link down"}}"#,
        &[
            ("event_timestamp", TIME),
            ("specversion", "1.0"),
            ("id", "ev-1"),
            ("source", "nats://events/events.syslog"),
            ("type", "syslog"),
            ("subject", "events.syslog"),
            ("short_message", "link down"),
        ],
    );
}

#[test]
fn e2_gelf() {
    assert_row(
        "Events",
        r#"{"version":"1.1","host":"fw1","short_message":"denied","timestamp":1767026614.25,"level":4,"_remote_addr":"192.0.2.9","id":"g-1"}"#,
        &[
            ("event_timestamp", "2025-12-29T16:43:34.250000"),
            ("id", "g-1"),
            ("remote_addr", "192.0.2.9"),
            ("host", "fw1"),
            ("level", "4"),
            ("severity", "warning"),
            ("short_message", "denied"),
            ("version", "1.1"),
        ],
    );
}

/// The severity is the word for the level. Earlier writers left it NULL (docs/formats.md,
/// Differences from earlier writers).
#[test]
fn e3_a_level_as_a_word() {
    assert_row(
        "Events",
        r#"{"id":"g-1","timestamp":1767026614.25,"level":"error","msg":"retry"}"#,
        &[
            ("event_timestamp", "2025-12-29T16:43:34.250000"),
            ("id", "g-1"),
            ("level", "3"),
            ("severity", "error"),
            ("short_message", "retry"),
        ],
    );
}

#[test]
fn e4_poller_health() {
    assert_row(
        "Events",
        r#"{"specversion":"1.0","id":"h1","type":"com.carverauto.serviceradar.poller.health","source":"core","subject":"events.poller.health","data":{"poller_id":"p1","previous_state":"healthy","current_state":"unhealthy","timestamp":"2025-12-29T16:43:34Z","host":"h","remote_addr":"10.0.0.2"}}"#,
        &[
            ("event_timestamp", TIME),
            ("specversion", "1.0"),
            ("id", "h1"),
            ("source", "core"),
            ("type", "com.carverauto.serviceradar.poller.health"),
            ("subject", "events.poller.health"),
            ("remote_addr", "10.0.0.2"),
            ("host", "h"),
            ("level", "3"),
            ("severity", "error"),
            (
                "short_message",
                "Poller p1 state changed from healthy to unhealthy",
            ),
            ("version", "1.1"),
        ],
    );
}

#[test]
fn gelf_inside_a_cloud_event() {
    assert_row(
        "Events",
        r#"{"id":"z","type":"syslog","data":{"version":"1.1","host":"fw1","short_message":"denied","timestamp":1767026614.25,"level":4,"_remote_addr":"192.0.2.9","severity":"High"}}"#,
        &[
            ("event_timestamp", "2025-12-29T16:43:34.250000"),
            ("id", "z"),
            ("type", "syslog"),
            ("remote_addr", "192.0.2.9"),
            ("host", "fw1"),
            ("level", "4"),
            ("severity", "High"),
            ("short_message", "denied"),
            ("version", "1.1"),
        ],
    );
}

#[test]
fn the_event_itself_comes_before_its_data() {
    let json = r#"{"time":"2025-12-29T16:43:34Z","host":"a","level":"debug","data":{"timestamp":1,"host":"b","level":1,"severity":"alert"},"message":"m"}"#;
    for (column, text) in [
        ("event_timestamp", TIME),
        ("host", "a"),
        ("level", "7"),
        ("severity", "alert"),
        ("short_message", "m"),
    ] {
        assert_eq!(
            cell("Events", json, column).as_deref(),
            Some(text),
            "{column}"
        );
    }
}

/// The content of `data` is up to the sender, so its `host` need not be a host.
#[test]
fn data_of_another_form_is_no_reason_to_reject() {
    let json = r#"{"id":"x","data":{"host":{"name":"h"},"level":3.5,"message":["m"],"msg":"n","timestamp":1e300}}"#;
    assert_row(
        "Events",
        json,
        &[
            ("event_timestamp", "now"),
            ("id", "x"),
            ("short_message", "n"),
        ],
    );
    assert!(reject("Events", r#"{"host":{"name":"h"}}"#).starts_with(r#"field "host": "#));
    assert!(reject("Events", r#"{"level":3.5}"#).starts_with(r#"field "level": "#));
    assert!(reject("Events", r#"{"timestamp":1e300}"#).starts_with(r#"field "timestamp": "#));
}

#[test]
fn a_level_gives_a_severity() {
    for (json, level, severity) in [
        ("0", Some("0"), Some("emergency")),
        ("7", Some("7"), Some("debug")),
        ("8", Some("8"), None),
        ("-1", Some("-1"), None),
        ("4.0", Some("4"), Some("warning")),
        (r#""4""#, Some("4"), Some("warning")),
        (r#""notice""#, Some("5"), Some("notice")),
        (r#""Notice""#, None, None),
        (r#""""#, None, None),
        ("false", None, None),
    ] {
        let event = format!(r#"{{"id":"i","level":{json}}}"#);
        assert_eq!(cell("Events", &event, "level").as_deref(), level, "{json}");
        assert_eq!(
            cell("Events", &event, "severity").as_deref(),
            severity,
            "{json}"
        );
    }
    let own = r#"{"level":3,"severity":"Major"}"#;
    assert_eq!(cell("Events", own, "severity").as_deref(), Some("Major"));
}

#[test]
fn the_message_is_taken_from_where_there_is_one() {
    for (json, expected) in [
        (r#"{"short_message":"s","message":"m"}"#, Some("s")),
        (r#"{"message":"m","msg":"n"}"#, Some("m")),
        (r#"{"data":"text"}"#, Some("text")),
        (r#"{"data":{"msg":"n","short_message":"s"}}"#, Some("n")),
        (r#"{"data":{"short_message":"s"}}"#, Some("s")),
        (r#"{"data":{}}"#, None),
        (r#"{"data":[1]}"#, None),
        (r#"{"data":5}"#, None),
    ] {
        assert_eq!(
            cell("Events", json, "short_message").as_deref(),
            expected,
            "{json}"
        );
    }
}

#[test]
fn an_id_is_derived_when_there_is_none() {
    let event = message(br#"[{"data":"a"},{"id":null},{"id":""}]"#);
    let rows = rows_of("Events", &event).unwrap();
    let id = |row: usize| {
        rows[row]
            .iter()
            .find(|(column, _)| *column == "id")
            .unwrap()
            .1
            .clone()
    };
    assert_eq!((id(0).len(), id(1).len(), id(2).len()), (36, 36, 0));
    assert_ne!(id(0), id(1));
    assert_eq!(rows, rows_of("Events", &event).unwrap());
}

#[test]
fn poller_health_by_state_and_by_subject() {
    for (state, level, severity) in [
        ("unhealthy", "3", "error"),
        ("healthy", "6", "info"),
        ("unknown", "5", "notice"),
        ("paused", "6", "info"),
    ] {
        let json = format!(r#"{{"data":{{"poller_id":"p","current_state":"{state}"}}}}"#);
        let event = Message {
            subject: "events.poller.health",
            ..message(json.as_bytes())
        };
        let row = rows_of("Events", &event).unwrap().remove(0);
        let changed = format!("Poller p state changed from  to {state}");
        for value in [
            ("level", level),
            ("severity", severity),
            ("short_message", &changed),
        ] {
            assert!(
                row.contains(&(value.0, value.1.to_owned())),
                "{value:?} in {row:?}"
            );
        }
    }
    let plain = Message {
        subject: "events.poller.health",
        ..message(br#"{"msg":"m"}"#)
    };
    assert!(rows_of("Events", &plain).unwrap()[0].contains(&("short_message", "m".to_owned())));
}

fn lifecycle(data: &str) -> String {
    format!(r#"{{"id":"d","subject":"events.devices.lifecycle","data":{data}}}"#)
}

#[test]
fn device_lifecycle() {
    let given = r#"{"device_id":"d1","action":"DELETED","actor":"admin","level":3,"severity":"High","remote_addr":"10.0.0.3","timestamp":"2025-12-29T16:43:34Z"}"#;
    assert_row(
        "Events",
        &lifecycle(given),
        &[
            ("event_timestamp", TIME),
            ("id", "d"),
            ("subject", "events.devices.lifecycle"),
            ("remote_addr", "10.0.0.3"),
            ("host", "d1"),
            ("level", "3"),
            ("severity", "High"),
            ("short_message", "Device d1 deleted by admin"),
            ("version", "1.1"),
        ],
    );
    assert_row(
        "Events",
        &lifecycle(r#"{"device_id":"d1"}"#),
        &[
            ("event_timestamp", "now"),
            ("id", "d"),
            ("subject", "events.devices.lifecycle"),
            ("host", "d1"),
            ("level", "5"),
            ("severity", "Medium"),
            ("short_message", "Device d1 updated"),
            ("version", "1.1"),
        ],
    );
}

#[test]
fn device_alias_updates() {
    let alias = |metadata: &str| {
        let json = format!(
            r#"{{"device_id":"d1","action":"alias_updated","actor":"x","metadata":{metadata}}}"#
        );
        cell("Events", &lifecycle(&json), "short_message").unwrap()
    };
    assert_eq!(
        alias(
            r#"{"previous_service_id":"a","alias_current_service_id":"b","alias_current_ip":"10.0.0.1","previous_collector_ip":"10.0.0.2"}"#
        ),
        "Device d1 alias updated (service a→b, ip 10.0.0.1, collector removed (was 10.0.0.2))"
    );
    assert_eq!(
        alias(r#"{"previous_ip":"10.0.0.1","alias_current_ip":"10.0.0.1"}"#),
        "Device d1 alias updated"
    );
    assert_eq!(alias("null"), "Device d1 alias updated");
}
