//! Tests that decoding of any bytes ends without a panic, either in complete rows or in a short
//! reject.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use row::{Cell, RowSet, Timestamp};
use serde_json::Value;
use sr_decode::{Format, Message, Reject, Window, decode_message, format, formats};

/// One or more payloads of each format, one for each shape that its decoder distinguishes.
const SAMPLES: [&str; 12] = [
    r#"{"timestamp":"2025-12-29T16:43:34.123456Z","poller_id":"p","value":"45.5%","tags":{"if":["eth0",{"a":null}]},"is_delta":false,"if_index":3,"scale":1.5e3,"metadata":"{\"oid\":\"1.3\"}"}"#,
    r#"[{"timestamp":1767026614123,"name":"cpu","unit":"\ud83d\ude00"},{"value":null}]"#,
    r#"{"specversion":"1.0","id":"e","type":"syslog","time":"2025-12-29T16:43:34Z","data":{"message":"down","level":3}}"#,
    r#"{"version":"1.1","host":"fw1","short_message":"no","timestamp":1767026614.25,"level":"error"}"#,
    r#"{"type":"com.carverauto.serviceradar.poller.health","data":{"poller_id":"p1","current_state":"unhealthy"}}"#,
    r#"{"subject":"events.devices.lifecycle","data":{"device_id":"d","action":"alias_updated","metadata":{"previous_ip":"a","alias_current_ip":"b"}}}"#,
    r#"{"ip":"192.0.2.1","icmpAvailable":false,"tcp_ports_open":[22, 80],"lastSweepTime":1767026614}"#,
    r#"{"timestamp":1767026614000,"sourceAddress":"2001:db8::1","sourcePort":53,"protocol":17,"bytes":80}"#,
    r#"[{"timestamp":"2026-05-01T10:00:00.123456789+00:00","span_id":"s","duration_ms":250.0,"http_status_code":null}]"#,
    r#"{"traceId":"t","startTimeUnixNano":9223372036854776807,"attributes":{"a":"\u0000"},"links":[]}"#,
    r#"{"time_unix_nano":1767026614000000000,"level":"WARN","body":{"k": 1.50},"attributes":"a=b"}"#,
    r#"{"body":[1,2],"timestamp":-1,"severity_number":"9"}"#,
];

/// Pieces of text that have a meaning somewhere in a payload.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    ":",
    "null",
    "false",
    "-",
    "1e999",
    "9223372036854775808",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "é",
    ".",
    "0",
    "[[[[",
    "\"data\":",
    "\"timestamp\":",
    " ",
    "Z",
];

/// Decodes a payload, and asserts the properties that hold for every result.
fn decode(format: &dyn Format, payload: &[u8]) -> Result<RowSet, Reject> {
    let message = Message {
        subject: "events.poller.health",
        payload,
        stream: "S",
        sequence: u64::MAX,
        published: Timestamp::from_unix_seconds(1_767_026_614).unwrap_or_default(),
        window: Window::default(),
    };
    let mut out = RowSet::new(format.tables());
    match decode_message(format, &message, &mut out) {
        Ok(()) => {
            assert_rows_are_whole(&out);
            Ok(out)
        }
        Err(reject) => {
            assert!(out.is_empty());
            assert!(reject.to_string().chars().count() < 200, "{reject}");
            Err(reject)
        }
    }
}

/// Returns the value of a column in the only row that Telemetry gives for an object with this
/// member.
fn telemetry(key: &str, json: &str, column: &str) -> Result<Option<String>, Reject> {
    let Some(format) = format("Telemetry") else {
        return Ok(None);
    };
    let out = decode(&**format, format!("{{\"{key}\":{json}}}").as_bytes())?;
    let rows = &out.tables()[0];
    let position = rows.table().position(column).unwrap_or(usize::MAX);
    Ok(
        match rows.get(0).and_then(|row| row.cells().nth(position)) {
            Some(Cell::Text(text) | Cell::Json(text)) => Some(text.to_owned()),
            _ => None,
        },
    )
}

/// Returns the number of formats that accept the payload.
fn decode_with_every_format(payload: &[u8]) -> usize {
    formats()
        .iter()
        .filter(|format| decode(&***format, payload).is_ok())
        .count()
}

fn assert_rows_are_whole(out: &RowSet) {
    for rows in out.tables() {
        let columns = &rows.table().columns;
        for row in rows.range(0..rows.len()) {
            let cells: Vec<_> = row.cells().collect();
            assert_eq!(cells.len(), columns.len());
            for (cell, column) in cells.iter().zip(columns) {
                assert!(cell.fits(column.kind));
                assert!(
                    !column.required || *cell != Cell::Null,
                    "{} is NULL",
                    column.name
                );
                if let Cell::Text(text) | Cell::Json(text) = cell {
                    assert!(!text.contains('\0'), "U+0000 in {}", column.name);
                }
                if let Cell::Json(text) = cell {
                    let parsed = serde_json::from_str::<Value>(text);
                    // A number beyond the range of a double is still valid JSON.
                    let out_of_range = |e: &serde_json::Error| e.to_string().contains("range");
                    assert!(parsed.as_ref().err().is_none_or(out_of_range), "{text}");
                }
            }
        }
    }
}

/// Runs `test` with cases of `strategy`, the same ones every time.
fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..Default::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let run = |value| {
        test(value);
        Ok(())
    };
    if let Err(error) = TestRunner::new_with_rng(config, rng).run(strategy, run) {
        std::panic::resume_unwind(Box::new(error.to_string()));
    }
}

#[test]
fn every_sample_fits_a_format() {
    for sample in SAMPLES {
        assert!(decode_with_every_format(sample.as_bytes()) > 0, "{sample}");
    }
}

#[test]
fn arbitrary_bytes() {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    check(2000, &bytes, |payload| {
        decode_with_every_format(&payload);
    });
}

#[test]
fn arbitrary_pieces() {
    let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40);
    check(2000, &pieces, |pieces| {
        decode_with_every_format(pieces.concat().as_bytes());
    });
}

#[test]
fn mutated_samples() {
    let edit = (
        any::<prop::sample::Index>(),
        0_usize..12,
        prop::sample::select(&PIECES[..]),
    );
    let edits = prop::collection::vec(edit, 1..4);
    let mutated = (prop::sample::select(&SAMPLES[..]), edits).prop_map(|(sample, edits)| {
        let mut payload = sample.as_bytes().to_vec();
        for (at, cut, piece) in edits {
            let start = at.index(payload.len() + 1);
            let end = payload.len().min(start + cut);
            payload.splice(start..end, piece.bytes());
        }
        payload
    });
    check(2000, &mutated, |payload| {
        decode_with_every_format(&payload);
    });
}

fn json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(&PIECES[..]).prop_map(Value::from),
        Just(Value::Null),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z_ ]{1,8}", inner), 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// Decodes every key of every format with values of every type, which mutations of samples seldom
/// produce.
#[test]
fn arbitrary_values_under_known_keys() {
    let key =
        |word: &&str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let words = SAMPLES.iter().flat_map(|sample| sample.split('"'));
    let keys: Vec<String> = words.filter(key).map(str::to_owned).collect();
    let members = prop::collection::vec((prop::sample::select(keys), json()), 0..6);
    check(2000, &members, |members| {
        decode_with_every_format(Value::from_iter(members).to_string().as_bytes());
    });
}

#[test]
fn a_string_is_kept_but_for_what_cannot_be_stored() {
    check(1000, &any::<String>(), |text| {
        let stored = Some(text.replace('\0', "\u{FFFD}"));
        let json = Value::from(text.clone()).to_string();
        assert_eq!(telemetry("unit", &json, "unit"), Ok(stored.clone()));
        let escaped: String = text
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04X}"))
            .collect();
        assert_eq!(
            telemetry("unit", &format!("\"{escaped}\""), "unit"),
            Ok(stored)
        );
    });
}

#[test]
fn a_document_is_kept_but_for_white_space() {
    let object = prop::collection::vec(("[a-z]{1,8}", json()), 0..4).prop_map(Value::from_iter);
    check(1000, &object, |object: Value| {
        let compact = object.to_string();
        if compact.contains("\\u0000") {
            return;
        }
        let spaced = serde_json::to_string_pretty(&object).unwrap_or_default();
        for json in [&compact, &spaced] {
            assert_eq!(telemetry("tags", json, "tags"), Ok(Some(compact.clone())));
        }
    });
}

#[test]
fn deep_nesting_takes_no_stack() {
    for (open, close) in [("[", "]"), (r#"{"data":"#, "}"), (r#"[{"tags":"#, "}]")] {
        let nested = format!("{}{}", open.repeat(100_000), close.repeat(100_000));
        let opened = open.repeat(100_000);
        for payload in [
            format!(r#"{{"unknown":{nested}}}"#),
            format!(r#"{{"tags":{nested},"body":{nested}}}"#),
            nested,
            opened,
        ] {
            decode_with_every_format(payload.as_bytes());
        }
    }
}
