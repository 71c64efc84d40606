//! OtelMetrics: metrics derived from spans, from `otel.metrics.>` to table `otel_metrics`
//! (docs/formats.md, OtelMetrics). The sender decides whether a span is slow; no threshold is
//! applied here.

use row::Cell::{Bool, Text};
use row::{Kind, Table};

use crate::json_object::{
    ColumnMapping, ConvertedValue, Member, ObjectFormat, boolean, columns, convert, converted,
    text, time, timestamp,
};
use crate::{Preset, Reject};

/// The default options of a pipeline of this format.
pub(super) const PRESET: Preset = Preset {
    pipeline: "otel_metrics",
    format: NAME,
    subject: "otel.metrics.>",
    batch_size: 100,
    batch_timeout_ms: 1000,
};
const NAME: &str = "OtelMetrics";

/// Creates the format with its table.
pub(super) fn format() -> ObjectFormat {
    let table = Table::new("otel_metrics", columns(&MAPPINGS), "timestamp");
    ObjectFormat::new(NAME, table, &MAPPINGS)
}

#[rustfmt::skip] // One line per column.
static MAPPINGS: [ColumnMapping; 18] = [
    timestamp("timestamp", &["timestamp"], time::millis_or_nanos).required(),
    text("trace_id", &["trace_id", "traceId"]),
    // Part of the key, so it cannot be NULL; '' means none, as in `db-event-writer`.
    text("span_id", &["span_id", "spanId"]).or(Text("")).required(),
    text("service_name", &["service_name", "serviceName"]).or(Text("unknown")).required(),
    text("span_name", &["span_name", "spanName", "name"]).or(Text("unknown")).required(),
    text("span_kind", &["span_kind", "spanKind"]),
    converted("duration_ms", Kind::Float8,
        &["duration_ms", "durationMs", "duration_seconds", "durationSeconds"], milliseconds),
    converted("duration_seconds", Kind::Float8,
        &["duration_seconds", "durationSeconds", "duration_ms", "durationMs"], seconds),
    text("metric_type", &["metric_type", "metricType"]),
    text("http_method", &["http_method", "httpMethod"]),
    text("http_route", &["http_route", "httpRoute"]),
    text("http_status_code", &["http_status_code", "httpStatusCode"]).or(Text("")),
    text("grpc_service", &["grpc_service", "grpcService"]),
    text("grpc_method", &["grpc_method", "grpcMethod"]),
    text("grpc_status_code", &["grpc_status_code", "grpcStatusCode"]).or(Text("")),
    boolean("is_slow", &["is_slow", "isSlow"]).or(Bool(false)),
    text("component", &["component"]),
    text("level", &["level"]),
];

/// Converts a duration to milliseconds.
fn milliseconds(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    let factor = if in_seconds(member) { 1000.0 } else { 1.0 };
    finite(member, convert::number(member)? * factor)
}

/// Converts a duration to seconds.
fn seconds(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    let divisor = if in_seconds(member) { 1.0 } else { 1000.0 };
    finite(member, convert::number(member)? / divisor)
}

/// Returns whether the key holds seconds; the others hold milliseconds.
fn in_seconds(member: Member<'_>) -> bool {
    matches!(member.key, "duration_seconds" | "durationSeconds")
}

/// Rejects a duration that the conversion of its unit has made infinite.
fn finite(member: Member<'_>, number: f64) -> Result<ConvertedValue<'_>, Reject> {
    if number.is_finite() {
        Ok(ConvertedValue::Float8(number))
    } else {
        Err(member.expected("a duration that a double can hold"))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{assert_row, cell, reject, rows};

    #[test]
    fn m1_milliseconds() {
        assert_row(
            "OtelMetrics",
            r#"{"timestamp":"2025-12-29T16:43:34Z","trace_id":"abc123","span_id":"def456","service_name":"api","span_name":"GET /users","span_kind":"SERVER","duration_ms":150.5,"http_method":"GET","http_route":"/users","http_status_code":200,"is_slow":true}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.000000"),
                ("trace_id", "abc123"),
                ("span_id", "def456"),
                ("service_name", "api"),
                ("span_name", "GET /users"),
                ("span_kind", "SERVER"),
                ("duration_ms", "150.5"),
                ("duration_seconds", "0.1505"),
                ("http_method", "GET"),
                ("http_route", "/users"),
                ("http_status_code", "200"),
                ("grpc_status_code", ""),
                ("is_slow", "true"),
            ],
        );
    }

    #[test]
    fn m2_seconds_and_other_spellings() {
        assert_row(
            "OtelMetrics",
            r#"{"timestamp":1767026614000,"spanId":"s1","serviceName":"g","name":"op","durationSeconds":1.5,"grpcStatusCode":0}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.000000"),
                ("span_id", "s1"),
                ("service_name", "g"),
                ("span_name", "op"),
                ("duration_ms", "1500"),
                ("duration_seconds", "1.5"),
                ("http_status_code", ""),
                ("grpc_status_code", "0"),
                ("is_slow", "false"),
            ],
        );
    }

    #[test]
    fn m3_an_array_of_derived_metrics() {
        let one = |kind: &str| {
            format!(
                r#"{{"timestamp":"2026-05-01T10:00:00.123456789+00:00","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","service_name":"core","span_name":"Repo.query","span_kind":"CLIENT","duration_ms":250.0,"duration_seconds":0.25,"metric_type":"{kind}","http_method":null,"http_route":null,"http_status_code":null,"grpc_service":null,"grpc_method":null,"grpc_status_code":null,"is_slow":true,"component":"otel-collector","level":"warn"}}"#
            )
        };
        let rows = rows(
            "OtelMetrics",
            &format!("[{},{}]", one("span"), one("slow_span")),
        )
        .unwrap();
        assert_eq!(rows.len(), 2);
        let expected = [
            ("timestamp", "2026-05-01T10:00:00.123456"),
            ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
            ("span_id", "b7ad6b7169203331"),
            ("service_name", "core"),
            ("span_name", "Repo.query"),
            ("span_kind", "CLIENT"),
            ("duration_ms", "250"),
            ("duration_seconds", "0.25"),
            ("metric_type", "span"),
            ("http_status_code", ""),
            ("grpc_status_code", ""),
            ("is_slow", "true"),
            ("component", "otel-collector"),
            ("level", "warn"),
        ];
        assert_eq!(
            rows[0],
            expected.map(|(column, text)| (column, text.to_owned()))
        );
        assert!(rows[1].contains(&("metric_type", "slow_span".to_owned())));
    }

    #[test]
    fn a_key_column_is_never_null() {
        for (column, text) in [
            ("span_id", ""),
            ("service_name", "unknown"),
            ("span_name", "unknown"),
        ] {
            assert_eq!(cell("OtelMetrics", "{}", column).as_deref(), Some(text));
        }
        assert_eq!(cell("OtelMetrics", "{}", "trace_id"), None);
    }

    #[test]
    fn a_duration_is_taken_from_the_unit_at_hand() {
        let duration = |json: &str, column: &str| cell("OtelMetrics", json, column).unwrap();
        assert_eq!(duration(r#"{"durationMs":5}"#, "duration_ms"), "5");
        assert_eq!(duration(r#"{"durationMs":5}"#, "duration_seconds"), "0.005");
        assert_eq!(
            duration(r#"{"duration_seconds":"2"}"#, "duration_ms"),
            "2000"
        );
        let both = r#"{"duration_ms":7,"duration_seconds":9}"#;
        assert_eq!(
            (
                duration(both, "duration_ms"),
                duration(both, "duration_seconds")
            ),
            ("7".into(), "9".into())
        );
        assert_eq!(
            reject("OtelMetrics", r#"{"durationMs":"long"}"#),
            r#"field "durationMs": expected a number, got "long""#
        );
        assert!(reject("OtelMetrics", r#"{"durationSeconds":1e308}"#).contains("durationSeconds"));
    }

    #[test]
    fn other_spellings() {
        let all = r#"{"traceId":"t","spanName":"n","name":"other","spanKind":"k","metricType":"m","httpMethod":"h","httpRoute":"r","httpStatusCode":404,"grpcService":"s","grpcMethod":"g","grpcStatusCode":"5","isSlow":"true"}"#;
        for (column, text) in [
            ("trace_id", "t"),
            ("span_name", "n"),
            ("span_kind", "k"),
            ("metric_type", "m"),
            ("http_method", "h"),
            ("http_route", "r"),
            ("http_status_code", "404"),
            ("grpc_service", "s"),
            ("grpc_method", "g"),
            ("grpc_status_code", "5"),
            ("is_slow", "true"),
        ] {
            assert_eq!(
                cell("OtelMetrics", all, column).as_deref(),
                Some(text),
                "{column}"
            );
        }
    }
}
