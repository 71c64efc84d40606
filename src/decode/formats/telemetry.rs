//! Telemetry: measurements, from `telemetry.>` to table `timeseries_metrics` (docs/formats.md,
//! Telemetry).

use row::Cell::{Bool, Float8, Text};
use row::{Kind, Table};

use crate::json::Raw;
use crate::json_object::{
    ColumnMapping, ConvertedValue, Member, ObjectFormat, boolean, columns, convert, converted,
    float8, int4, json_object, text, time, timestamp,
};
use crate::{Preset, Reject};

/// The default options of a pipeline of this format.
pub(super) const PRESET: Preset = Preset {
    pipeline: "telemetry",
    format: NAME,
    subject: "telemetry.>",
    batch_size: 100,
    batch_timeout_ms: 1000,
};
const NAME: &str = "Telemetry";

/// Creates the format with its table.
pub(super) fn format() -> ObjectFormat {
    let table = Table::new("timeseries_metrics", columns(&MAPPINGS), "timestamp");
    ObjectFormat::new(NAME, table, &MAPPINGS)
}

#[rustfmt::skip] // One line per column.
static MAPPINGS: [ColumnMapping; 15] = [
    timestamp("timestamp", &["timestamp"], time::seconds_or_millis).required(),
    text("poller_id", &["poller_id", "pollerId"]).alias("gateway_id").or(Text("unknown"))
        .required(),
    text("agent_id", &["agent_id", "agentId"]),
    text("metric_name", &["metric_name", "metricName", "name"]).or(Text("unknown")).required(),
    text("metric_type", &["metric_type", "metricType", "type"]).or(Text("gauge")).required(),
    text("device_id", &["device_id", "deviceId"]),
    converted("value", Kind::Float8, &["value"], measured).or(Float8(0.0)).required(),
    text("unit", &["unit"]),
    json_object("tags", &["tags"]),
    text("partition", &["partition"]),
    float8("scale", &["scale"]),
    boolean("is_delta", &["is_delta", "isDelta"]).or(Bool(false)),
    text("target_device_ip", &["target_device_ip", "targetDeviceIp"]),
    int4("if_index", &["if_index", "ifIndex"]),
    json_object("metadata", &["metadata"]),
];

/// Converts a number, or the one that a string starts with: "12.5ms" is 12.5. Anything else is 0,
/// but a number beyond a double is rejected.
fn measured(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match member.raw {
        Raw::Number(_) => convert::float8(member),
        Raw::String(string) => {
            let text = string.text();
            let number = leading_number(&text).parse().unwrap_or(0.0);
            if f64::is_finite(number) {
                Ok(ConvertedValue::Float8(number))
            } else {
                Err(member.expected("a number that a double can hold"))
            }
        }
        Raw::Bool(_) | Raw::Object(_) | Raw::Array(_) => Ok(ConvertedValue::Float8(0.0)),
    }
}

/// Returns the decimal number that a text starts with. A decimal point counts only between digits.
fn leading_number(text: &str) -> &str {
    let digits = |from: usize| {
        let rest = text.bytes().skip(from);
        from + rest.take_while(u8::is_ascii_digit).count()
    };
    let is = |at: usize, set: &[u8]| text.as_bytes().get(at).is_some_and(|b| set.contains(b));
    let start = usize::from(is(0, b"+-"));
    let mut end = digits(start);
    if end == start {
        return "";
    }
    if is(end, b".") && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    if is(end, b"eE") {
        let exponent = end + 1 + usize::from(is(end + 1, b"+-"));
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::leading_number;
    use crate::testing::{assert_row, cell, reject};

    #[test]
    fn t1_every_column() {
        assert_row(
            "Telemetry",
            r#"{"timestamp":"2025-12-29T16:43:34.123456Z","poller_id":"poller-a","agent_id":"agent-a","metric_name":"ifInOctets","metric_type":"counter","device_id":"default:10.0.0.1","value":1234567,"unit":"bytes","tags":{"if":"eth0"},"is_delta":true,"target_device_ip":"10.0.0.1","if_index":3,"metadata":"{\"oid\":\"1.3.6\"}"}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.123456"),
                ("poller_id", "poller-a"),
                ("agent_id", "agent-a"),
                ("metric_name", "ifInOctets"),
                ("metric_type", "counter"),
                ("device_id", "default:10.0.0.1"),
                ("value", "1234567"),
                ("unit", "bytes"),
                ("tags", r#"{"if":"eth0"}"#),
                ("is_delta", "true"),
                ("target_device_ip", "10.0.0.1"),
                ("if_index", "3"),
                ("metadata", r#"{"oid":"1.3.6"}"#),
            ],
        );
    }

    #[test]
    fn t2_other_spellings_and_a_unit_behind_the_value() {
        assert_row(
            "Telemetry",
            r#"{"timestamp":1767026614123,"name":"cpu_usage","value":"45.5%","pollerId":"p2"}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.123000"),
                ("poller_id", "p2"),
                ("metric_name", "cpu_usage"),
                ("metric_type", "gauge"),
                ("value", "45.5"),
                ("is_delta", "false"),
            ],
        );
    }

    #[test]
    fn t3_nothing_but_defaults() {
        assert_row(
            "Telemetry",
            r#"{"value":null}"#,
            &[
                ("timestamp", "now"),
                ("poller_id", "unknown"),
                ("metric_name", "unknown"),
                ("metric_type", "gauge"),
                ("value", "0"),
                ("is_delta", "false"),
            ],
        );
    }

    #[test]
    fn t4_seconds() {
        assert_row(
            "Telemetry",
            r#"{"timestamp":1767026614,"value":1,"metricName":"x"}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.000000"),
                ("poller_id", "unknown"),
                ("metric_name", "x"),
                ("metric_type", "gauge"),
                ("value", "1"),
                ("is_delta", "false"),
            ],
        );
    }

    #[test]
    fn the_value_is_taken_leniently() {
        let value =
            |json: &str| cell("Telemetry", &format!(r#"{{"value":{json}}}"#), "value").unwrap();
        for zero in [
            "null", "true", "false", "{}", "[1]", r#""""#, r#""n/a""#, r#"".5""#,
        ] {
            assert_eq!(value(zero), "0", "{zero}");
        }
        assert_eq!(value(r#""12.5ms""#), "12.5");
        assert_eq!(value(r#""1""#), "1");
        assert_eq!(value("-1.5e3"), "-1500");
        assert!(reject("Telemetry", r#"{"value":"1e999"}"#).contains("\"value\""));
        assert!(reject("Telemetry", r#"{"value":1e999}"#).contains("\"value\""));
    }

    #[test]
    fn a_leading_number_ends_where_the_unit_begins() {
        for (text, number) in [
            ("12.5ms", "12.5"),
            ("+1", "+1"),
            ("-0.5e-3x", "-0.5e-3"),
            ("1.", "1"),
            ("7e", "7"),
            ("7e+", "7"),
            ("1e3V", "1e3"),
            ("1.2.3", "1.2"),
            ("-", ""),
            (" 1", ""),
            ("½", ""),
            ("1½", "1"),
        ] {
            assert_eq!(leading_number(text), number, "{text}");
        }
    }

    #[test]
    fn other_spellings() {
        let all = r#"{"metricType":"t","agentId":"a","deviceId":"d","isDelta":true,"targetDeviceIp":"i","ifIndex":7,"scale":"0.1","partition":"x"}"#;
        for (column, text) in [
            ("metric_type", "t"),
            ("agent_id", "a"),
            ("device_id", "d"),
            ("is_delta", "true"),
            ("target_device_ip", "i"),
            ("if_index", "7"),
            ("scale", "0.1"),
            ("partition", "x"),
        ] {
            assert_eq!(
                cell("Telemetry", all, column).as_deref(),
                Some(text),
                "{column}"
            );
        }
        let kind = cell("Telemetry", r#"{"type":"sum"}"#, "metric_type");
        assert_eq!(kind.as_deref(), Some("sum"));
    }
}
