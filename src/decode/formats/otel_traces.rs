//! OtelTraces: spans as JSON, from `otel.traces.>` to table `otel_traces` (docs/formats.md,
//! OtelTraces).

use row::Cell::Text;
use row::{Kind, Table};

use crate::json::Raw;
use crate::json_object::{
    ColumnMapping, ConvertedValue, Member, ObjectFormat, columns, converted, int4, json_text,
    parse_integer, text, time, timestamp,
};
use crate::{Preset, Reject};

/// The default options of a pipeline of this format.
pub(super) const PRESET: Preset = Preset {
    pipeline: "otel_traces",
    format: NAME,
    subject: "otel.traces.>",
    batch_size: 100,
    batch_timeout_ms: 1000,
};
const NAME: &str = "OtelTraces";

/// Creates the format with its table.
pub(super) fn format() -> ObjectFormat {
    let table = Table::new("otel_traces", columns(&MAPPINGS), "timestamp");
    ObjectFormat::new(NAME, table, &MAPPINGS)
}

#[rustfmt::skip] // One line per column.
static MAPPINGS: [ColumnMapping; 19] = [
    timestamp("timestamp", &["timestamp", "start_time_unix_nano"], time::millis_or_nanos)
        .required(),
    // Part of the key, so it cannot be NULL; '' means none, as in `db-event-writer`.
    text("trace_id", &["trace_id", "traceId"]).or(Text("")).required(),
    text("span_id", &["span_id", "spanId"]).or(Text("")).required(),
    text("parent_span_id", &["parent_span_id", "parentSpanId"]),
    text("name", &["name"]),
    int4("kind", &["kind"]),
    converted("start_time_unix_nano", Kind::Int8,
        &["start_time_unix_nano", "startTimeUnixNano"], nanoseconds),
    converted("end_time_unix_nano", Kind::Int8,
        &["end_time_unix_nano", "endTimeUnixNano"], nanoseconds),
    text("service_name", &["service_name", "serviceName"]).or(Text("unknown")),
    text("service_version", &["service_version", "serviceVersion"]),
    text("service_instance", &["service_instance", "serviceInstance"]),
    text("scope_name", &["scope_name", "scopeName"]),
    text("scope_version", &["scope_version", "scopeVersion"]),
    int4("status_code", &["status_code", "statusCode"]),
    text("status_message", &["status_message", "statusMessage"]),
    json_text("attributes", &["attributes"]),
    json_text("resource_attributes", &["resource_attributes", "resourceAttributes"]),
    json_text("events", &["events"]),
    json_text("links", &["links"]),
];

/// Converts a whole number, or the one that a string starts with. It is clamped to 64 bits, because
/// senders count unsigned. Anything else is NULL.
fn nanoseconds(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    let number = match member.raw {
        Raw::Number(literal) => parse_integer(literal),
        Raw::String(string) => parse_integer(leading_integer(&string.text())),
        _ => None,
    };
    let clamped = |number: i128| number.clamp(i64::MIN.into(), i64::MAX.into());
    let number = number.and_then(|number| i64::try_from(clamped(number)).ok());
    Ok(number.map_or(ConvertedValue::Null, ConvertedValue::Int8))
}

/// Returns the sign and digits that a text starts with.
fn leading_integer(text: &str) -> &str {
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text
        .bytes()
        .skip(sign)
        .take_while(u8::is_ascii_digit)
        .count();
    text.get(..sign + digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::testing::{assert_row, cell, reject};

    #[test]
    fn r1_every_column() {
        assert_row(
            "OtelTraces",
            r#"{"timestamp":"2025-12-29T16:43:34Z","trace_id":"t1","span_id":"s1","name":"GET","kind":2,"start_time_unix_nano":1767026614000000000,"end_time_unix_nano":"1767026614100000000","service_name":"api","status_code":1,"attributes":{"http.method":"GET"},"events":[{"name":"e"}],"links":[]}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.000000"),
                ("trace_id", "t1"),
                ("span_id", "s1"),
                ("name", "GET"),
                ("kind", "2"),
                ("start_time_unix_nano", "1767026614000000000"),
                ("end_time_unix_nano", "1767026614100000000"),
                ("service_name", "api"),
                ("status_code", "1"),
                ("attributes", r#"{"http.method":"GET"}"#),
                ("events", r#"[{"name":"e"}]"#),
                ("links", "[]"),
            ],
        );
    }

    #[test]
    fn r2_a_start_beyond_64_bits() {
        assert_row(
            "OtelTraces",
            r#"{"traceId":"t2","spanId":"s2","startTimeUnixNano":9223372036854776807}"#,
            &[
                ("timestamp", "now"),
                ("trace_id", "t2"),
                ("span_id", "s2"),
                ("start_time_unix_nano", "9223372036854775807"),
                ("service_name", "unknown"),
            ],
        );
    }

    #[test]
    fn a_key_column_is_never_null() {
        assert_eq!(cell("OtelTraces", "{}", "trace_id").as_deref(), Some(""));
        assert_eq!(cell("OtelTraces", "{}", "span_id").as_deref(), Some(""));
    }

    #[test]
    fn nanoseconds_keep_microseconds() {
        let json = r#"{"start_time_unix_nano":1767026614123456789}"#;
        let timestamp = cell("OtelTraces", json, "timestamp");
        assert_eq!(timestamp.as_deref(), Some("2025-12-29T16:43:34.123456"));
    }

    #[test]
    fn nanoseconds_are_read_from_strings_and_clamped() {
        for (json, expected) in [
            ("12", Some("12")),
            ("1e3", Some("1000")),
            ("1.5", None),
            ("true", None),
            ("[1]", None),
            (r#""15 ns""#, Some("15")),
            (r#""-15""#, Some("-15")),
            (r#""ns""#, None),
            (r#""""#, None),
            ("-9e18", Some("-9000000000000000000")),
            ("-9e19", Some("-9223372036854775808")),
            (r#""18446744073709551615""#, Some("9223372036854775807")),
        ] {
            let json = format!(r#"{{"endTimeUnixNano":{json}}}"#);
            let end = cell("OtelTraces", &json, "end_time_unix_nano");
            assert_eq!(end.as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn other_spellings() {
        let all = r#"{"parentSpanId":"p","serviceName":"s","serviceVersion":1.50,"serviceInstance":"i","scopeName":"n","scopeVersion":"v","statusCode":2,"statusMessage":"m","resourceAttributes":"a=b"}"#;
        for (column, text) in [
            ("parent_span_id", "p"),
            ("service_name", "s"),
            ("service_version", "1.50"),
            ("service_instance", "i"),
            ("scope_name", "n"),
            ("scope_version", "v"),
            ("status_code", "2"),
            ("status_message", "m"),
            ("resource_attributes", "a=b"),
        ] {
            assert_eq!(
                cell("OtelTraces", all, column).as_deref(),
                Some(text),
                "{column}"
            );
        }
        assert_eq!(
            reject("OtelTraces", r#"{"kind":"SPAN_KIND_SERVER"}"#),
            r#"field "kind": expected a 32-bit integer, got "SPAN_KIND_SERVER""#
        );
    }
}
