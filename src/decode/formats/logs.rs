//! Logs: log records as JSON, from `logs.>` to table `logs` (docs/formats.md, Logs).

use row::Cell::Text;
use row::{Kind, Table};

use crate::json::Raw;
use crate::json_object::{
    ColumnMapping, ConvertedValue, Member, ObjectFormat, Source, columns, computed, convert, int4,
    json_text, text, time, timestamp,
};
use crate::{Preset, Reject, ids};

/// The default options of a pipeline of this format.
pub(super) const PRESET: Preset = Preset {
    pipeline: "logs",
    format: NAME,
    subject: "logs.>",
    batch_size: 100,
    batch_timeout_ms: 1000,
};
const NAME: &str = "Logs";

/// Creates the format with its table.
pub(super) fn format() -> ObjectFormat {
    let table = Table::new("logs", columns(&MAPPINGS), "timestamp");
    ObjectFormat::new(NAME, table, &MAPPINGS)
}

#[rustfmt::skip] // One line per column.
static MAPPINGS: [ColumnMapping; 13] = [
    timestamp("timestamp", &["timestamp", "time_unix_nano"], time::millis_or_nanos).required(),
    text("trace_id", &["trace_id", "traceId"]).or_derived(ids::trace).required(),
    text("span_id", &["span_id", "spanId"]).or_derived(ids::span).required(),
    text("severity_text", &["severity_text", "severityText", "level"]),
    int4("severity_number", &["severity_number", "severityNumber"]),
    computed("body", Kind::Text, &["body", "message", "msg", "short_message"], body),
    text("service_name", &["service_name", "serviceName"]).or(Text("unknown")),
    text("service_version", &["service_version", "serviceVersion"]),
    text("service_instance", &["service_instance", "serviceInstance"]),
    text("scope_name", &["scope_name", "scopeName"]),
    text("scope_version", &["scope_version", "scopeVersion"]),
    json_text("attributes", &["attributes"]),
    json_text("resource_attributes", &["resource_attributes", "resourceAttributes"]),
];

/// Returns the body if it is a string or an object, else the message. Any other body is kept as its
/// JSON text when there is no message, so that it is not lost.
fn body<'a>(source: Source<'_, 'a>) -> Result<ConvertedValue<'a>, Reject> {
    let body = source.get("body");
    if let Some(body) = body.filter(|member| matches!(member.raw, Raw::String(_) | Raw::Object(_)))
    {
        return convert::json_text(body);
    }
    match source.members().find(|member| member.key != "body") {
        Some(message) => convert::text(message),
        None => body.map_or(Ok(ConvertedValue::Null), other),
    }
}

/// Converts a body that is neither a string nor an object.
fn other(body: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match body.raw {
        Raw::Array(_) => convert::json_text(body),
        _ => convert::text(body),
    }
}

#[cfg(test)]
mod tests {
    use crate::Message;
    use crate::testing::{assert_row, cell, message, reject, rows, rows_of};

    #[test]
    fn l1_every_column() {
        assert_row(
            "Logs",
            r#"{"timestamp":"2025-12-29T16:43:34Z","trace_id":"t1","span_id":"s1","severity_text":"INFO","severity_number":9,"body":"started","service_name":"api","attributes":{"k":"v"},"resource_attributes":{"host.name":"h1"}}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.000000"),
                ("trace_id", "t1"),
                ("span_id", "s1"),
                ("severity_text", "INFO"),
                ("severity_number", "9"),
                ("body", "started"),
                ("service_name", "api"),
                ("attributes", r#"{"k":"v"}"#),
                ("resource_attributes", r#"{"host.name":"h1"}"#),
            ],
        );
    }

    #[test]
    fn l2_ids_are_derived() {
        let json = r#"{"time_unix_nano":1767026614000000000,"level":"WARNING","message":"disk"}"#;
        let id = |column| cell("Logs", json, column).unwrap();
        let (trace, span) = (id("trace_id"), id("span_id"));
        for id in [&trace, &span] {
            assert_eq!(id.len(), 16);
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()),
                "{id}"
            );
        }
        assert_row(
            "Logs",
            json,
            &[
                ("timestamp", "2025-12-29T16:43:34.000000"),
                ("trace_id", &trace),
                ("span_id", &span),
                ("severity_text", "WARNING"),
                ("body", "disk"),
                ("service_name", "unknown"),
            ],
        );
    }

    #[test]
    fn derived_ids_differ_between_records_and_not_between_deliveries() {
        let array = message(b"[{},{}]");
        let first = rows_of("Logs", &array).unwrap();
        assert_ne!(first[0], first[1]);
        assert_eq!(first, rows_of("Logs", &array).unwrap());
        let next = Message {
            sequence: array.sequence + 1,
            ..array
        };
        assert_ne!(first, rows_of("Logs", &next).unwrap());
        let mut given = rows("Logs", r#"{"trace_id":"","spanId":"s"}"#).unwrap();
        given[0].retain(|(column, _)| column.ends_with("_id"));
        assert_eq!(
            given[0],
            [("trace_id", String::new()), ("span_id", "s".to_owned())]
        );
    }

    #[test]
    fn the_body_is_taken_from_where_there_is_one() {
        for (json, expected) in [
            (r#"{"body":"b","message":"m"}"#, Some("b")),
            (
                r#"{"body":{"k": 1.50},"message":"m"}"#,
                Some(r#"{"k":1.50}"#),
            ),
            (r#"{"body":"","message":"m"}"#, Some("")),
            (r#"{"body":5,"message":"m","msg":"n"}"#, Some("m")),
            (r#"{"body":null,"msg":"n","short_message":"s"}"#, Some("n")),
            (r#"{"short_message":"s"}"#, Some("s")),
            (r#"{"body":[1, 2]}"#, Some("[1,2]")),
            (r#"{"body":5}"#, Some("5")),
            (r#"{"body":false}"#, None),
            ("{}", None),
        ] {
            assert_eq!(cell("Logs", json, "body").as_deref(), expected, "{json}");
        }
        assert!(reject("Logs", r#"{"message":{}}"#).starts_with(r#"field "message": "#));
    }

    #[test]
    fn other_spellings() {
        let all = r#"{"traceId":"t","spanId":"s","severityText":"Warn","severityNumber":"13","serviceName":"n","serviceVersion":"v","serviceInstance":"i","scopeName":"o","scopeVersion":"w","resourceAttributes":[]}"#;
        for (column, text) in [
            ("trace_id", "t"),
            ("span_id", "s"),
            ("severity_text", "Warn"),
            ("severity_number", "13"),
            ("service_name", "n"),
            ("service_version", "v"),
            ("service_instance", "i"),
            ("scope_name", "o"),
            ("scope_version", "w"),
            ("resource_attributes", "[]"),
        ] {
            assert_eq!(cell("Logs", all, column).as_deref(), Some(text), "{column}");
        }
    }
}
