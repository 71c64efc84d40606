//! Tests of the rules that all formats share, with fields of formats that use them.

use row::Timestamp;

use crate::testing::{cell, message, reject, rows, rows_of};
use crate::{Message, Window};

/// Asserts the result for each value of the key `key`: a text, `None` for NULL, or a reject.
#[track_caller]
fn assert_converted(format: &str, key: &str, cases: &[(&str, Result<Option<&str>, ()>)]) {
    for (json, expected) in cases {
        let payload = format!(r#"{{"{key}":{json}}}"#);
        match expected {
            Ok(text) => assert_eq!(cell(format, &payload, key).as_deref(), *text, "{payload}"),
            Err(()) => {
                let named = format!("field \"{key}\": ");
                assert!(reject(format, &payload).starts_with(&named), "{payload}");
            }
        }
    }
}

#[test]
fn text_takes_scalars_as_they_are_written() {
    assert_converted(
        "Telemetry",
        "unit",
        &[
            (r#""ms""#, Ok(Some("ms"))),
            (r#""""#, Ok(Some(""))),
            (r#""a\u0000b\n\ud800""#, Ok(Some("a\u{FFFD}b\n\u{FFFD}"))),
            ("1.50", Ok(Some("1.50"))),
            (
                "123456789012345678901234567890",
                Ok(Some("123456789012345678901234567890")),
            ),
            ("0", Ok(Some("0"))),
            ("true", Ok(Some("true"))),
            ("false", Ok(None)),
            ("null", Ok(None)),
            ("{}", Err(())),
            ("[]", Err(())),
        ],
    );
}

#[test]
fn integers_are_whole_and_in_range_or_rejected() {
    let both = [
        ("3", Ok(Some("3"))),
        ("-3", Ok(Some("-3"))),
        ("3.0", Ok(Some("3"))),
        ("3e0", Ok(Some("3"))),
        (r#""3""#, Ok(Some("3"))),
        ("false", Ok(None)),
        ("null", Ok(None)),
        ("3.5", Err(())),
        (r#""abc""#, Err(())),
        (r#""""#, Err(())),
        (r#"" 3""#, Err(())),
        ("true", Err(())),
        ("[3]", Err(())),
        ("{}", Err(())),
    ];
    assert_converted("Telemetry", "if_index", &both);
    assert_converted("NetFlow", "packets", &both);
    assert_converted(
        "Telemetry",
        "if_index",
        &[
            ("2147483647", Ok(Some("2147483647"))),
            ("-2147483648", Ok(Some("-2147483648"))),
            ("2147483648", Err(())),
        ],
    );
    assert_converted(
        "NetFlow",
        "packets",
        &[
            ("9223372036854775807", Ok(Some("9223372036854775807"))),
            ("9223372036854775807.0", Ok(Some("9223372036854775807"))),
            (
                r#""-9223372036854775808""#,
                Ok(Some("-9223372036854775808")),
            ),
            ("9223372036854775808", Err(())),
            ("1e30", Err(())),
        ],
    );
}

#[test]
fn floats_are_finite_numbers() {
    assert_converted(
        "Telemetry",
        "scale",
        &[
            ("0.1", Ok(Some("0.1"))),
            ("-2", Ok(Some("-2"))),
            ("1.5e3", Ok(Some("1500"))),
            (r#""0.1""#, Ok(Some("0.1"))),
            ("1e-999", Ok(Some("0"))),
            ("1e999", Err(())),
            (r#""NaN""#, Err(())),
            (r#""inf""#, Err(())),
            (r#""12ms""#, Err(())),
            ("true", Err(())),
            ("[]", Err(())),
        ],
    );
}

#[test]
fn booleans_keep_false() {
    assert_converted(
        "Telemetry",
        "is_delta",
        &[
            ("true", Ok(Some("true"))),
            ("false", Ok(Some("false"))),
            (r#""true""#, Ok(Some("true"))),
            (r#""false""#, Ok(Some("false"))),
            ("1", Ok(Some("true"))),
            ("0", Ok(Some("false"))),
            ("null", Ok(Some("false"))),
            ("2", Err(())),
            (r#""yes""#, Err(())),
            ("{}", Err(())),
        ],
    );
    let first = r#"{"is_delta":false,"isDelta":true}"#;
    assert_eq!(
        cell("Telemetry", first, "is_delta").as_deref(),
        Some("false")
    );
}

#[test]
fn documents_keep_every_digit() {
    let object = r#"{ "n" : [1.50, 123456789012345678901234567890, -0.0] }"#;
    let compact = r#"{"n":[1.50,123456789012345678901234567890,-0.0]}"#;
    let shared = [
        (object, Ok(Some(compact))),
        (
            r#"{"a":"\u0000\ud800"}"#,
            Ok(Some(r#"{"a":"\ufffd\ufffd"}"#)),
        ),
        (r#""{\"oid\": \"1.3.6\"}""#, Ok(Some(r#"{"oid":"1.3.6"}"#))),
        (r#""[1, 2]""#, Ok(Some("[1,2]"))),
        (r#""12""#, Ok(Some("12"))),
        (r#""null""#, Ok(None)),
        (r#""no json""#, Ok(None)),
        (r#""{\"a\":}""#, Ok(None)),
        ("12", Ok(None)),
        ("true", Ok(None)),
        ("null", Ok(None)),
    ];
    assert_converted("Telemetry", "tags", &shared);
    assert_converted("NetFlow", "metadata", &shared);
    assert_converted("Telemetry", "metadata", &[("[1]", Ok(None))]);
    let swept = |json: &str| {
        cell(
            "Sweep",
            &format!(r#"{{"ip":"h","metadata":{json}}}"#),
            "metadata",
        )
    };
    for (json, expected) in shared {
        assert_eq!(swept(json).as_deref(), expected.unwrap(), "{json}");
    }
    assert_eq!(swept("[ 1 ]").as_deref(), Some("[1]"));
}

#[test]
fn documents_in_text_columns_are_compact_json_or_the_string_itself() {
    let cases = [
        (r#"{ "a" : 1.50 }"#, Ok(Some(r#"{"a":1.50}"#))),
        ("[ 1 ]", Ok(Some("[1]"))),
        (r#""a=b, { c""#, Ok(Some("a=b, { c"))),
        ("5", Ok(None)),
        ("true", Ok(None)),
        ("null", Ok(None)),
    ];
    for column in ["attributes", "resource_attributes", "events", "links"] {
        assert_converted("OtelTraces", column, &cases);
    }
    assert_converted("Logs", "attributes", &cases);
}

#[test]
fn nesting_beyond_a_hundred_levels_is_rejected_where_it_is_kept() {
    let nested = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth) + "1", "}".repeat(depth));
    let tags = |document: String| format!(r#"{{"tags":{document}}}"#);
    assert!(rows("Telemetry", &tags(nested(100))).is_ok());
    assert_eq!(
        reject("Telemetry", &tags(nested(101))),
        r#"field "tags": nested deeper than 100 levels"#
    );
    let quoted = tags(format!("\"{}\"", nested(101).replace('"', "\\\"")));
    assert!(reject("Telemetry", &quoted).contains("nested deeper"));
    let elsewhere = format!(r#"{{"unknown":{}}}"#, nested(500_000));
    assert!(rows("Telemetry", &elsewhere).is_ok());
}

#[test]
fn null_and_false_give_way_to_the_next_key() {
    let name = |json: &str| cell("Telemetry", json, "metric_name").unwrap();
    assert_eq!(
        name(r#"{"metric_name":null,"metricName":false,"name":"n"}"#),
        "n"
    );
    assert_eq!(name(r#"{"metric_name":"","name":"n"}"#), "");
    assert_eq!(name(r#"{"metric_name":0,"name":"n"}"#), "0");
    assert_eq!(
        name(r#"{"name":"c","metricName":"b","metric_name":"a"}"#),
        "a"
    );
}

#[test]
fn a_row_outside_the_window_is_rejected() {
    let at = |seconds| Timestamp::from_unix_seconds(seconds);
    let window = Window {
        oldest: at(1000),
        newest: at(2000),
    };
    let decode = |payload: &str| {
        rows_of(
            "Telemetry",
            &Message {
                window,
                ..message(payload.as_bytes())
            },
        )
    };
    assert!(decode(r#"{"timestamp":1000}"#).is_ok());
    assert!(decode(r#"{"timestamp":2000}"#).is_ok());
    assert_eq!(
        decode(r#"{"timestamp":999}"#).unwrap_err(),
        r#"field "timestamp": older than the oldest time accepted"#
    );
    assert_eq!(
        decode(r#"[{"timestamp":1500},{"timestamp":2001}]"#).unwrap_err(),
        r#"element 1, field "timestamp": newer than the newest time accepted"#
    );
    // Only the row's own time is checked against the window.
    let swept = Message {
        window,
        ..message(br#"{"ip":"h","last_sweep_time":1500,"first_seen":1}"#)
    };
    assert!(rows_of("Sweep", &swept).is_ok());
}

#[test]
fn a_payload_that_is_not_utf_8_is_rejected() {
    assert_eq!(
        rows_of("Telemetry", &message(b"{\"a\":\"\xFF\"}")).unwrap_err(),
        "not UTF-8: invalid utf-8 sequence of 1 bytes from index 6"
    );
}
