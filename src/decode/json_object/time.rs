//! Conversion of points in time. A value that is not a point in time gives NULL, for which the
//! caller uses the message's publish time. Only a number beyond what PostgreSQL can hold is an
//! error. Units are distinguished by the size of the number, as in the original processors.

use row::Timestamp;
use speedate::{DateTime, MicrosecondsPrecisionOverflowBehavior, TimeConfig};

use super::{ConvertedValue, Member, parse_integer};
use crate::Reject;
use crate::json::Raw;

/// The largest integer that means seconds; larger ones are milliseconds.
const LARGEST_SECONDS: i128 = 1_000_000_000_000;
/// The largest integer that means milliseconds; larger ones are nanoseconds.
const LARGEST_MILLIS: i128 = 1_000_000_000_000_000_000;
/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

/// Converts a date, or an integer in seconds or milliseconds.
pub(crate) fn seconds_or_millis(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    instant(member, |number| {
        let unit = if number > LARGEST_SECONDS {
            1_000
        } else {
            MICROS
        };
        number.checked_mul(unit.into())
    })
}

/// Converts a date, or an integer in milliseconds or nanoseconds.
pub(crate) fn millis_or_nanos(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    instant(member, |number| {
        if number > LARGEST_MILLIS {
            Some(number / 1_000)
        } else {
            number.checked_mul(1_000)
        }
    })
}

/// Converts a date, or any number of seconds, truncated to a microsecond.
pub(crate) fn seconds(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match member.raw {
        Raw::Number(literal) if !is_integer(literal) => in_range(member, decimal_micros(literal)),
        _ => instant(member, |number| number.checked_mul(MICROS.into())),
    }
}

/// Converts a date, or an integer that `micros` converts to microseconds since the Unix epoch.
fn instant(
    member: Member<'_>,
    micros: impl Fn(i128) -> Option<i128>,
) -> Result<ConvertedValue<'_>, Reject> {
    match member.raw {
        Raw::Number(literal) if is_integer(literal) => {
            in_range(member, parse_integer(literal).and_then(micros))
        }
        Raw::String(string) => {
            Ok(date(&string.text()).map_or(ConvertedValue::Null, ConvertedValue::Timestamp))
        }
        _ => Ok(ConvertedValue::Null),
    }
}

/// Converts microseconds since the Unix epoch, and rejects a time that PostgreSQL cannot hold.
fn in_range(member: Member<'_>, unix_micros: Option<i128>) -> Result<ConvertedValue<'_>, Reject> {
    unix_micros
        .and_then(|micros| Timestamp::from_unix_micros(i64::try_from(micros).ok()?))
        .map(ConvertedValue::Timestamp)
        .ok_or_else(|| member.expected("a time that PostgreSQL can hold"))
}

/// Returns whether a number is written without fraction and exponent.
fn is_integer(literal: &str) -> bool {
    !literal
        .bytes()
        .any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Returns the microseconds of a decimal number of seconds. Digits are converted one by one,
/// because a float would make 1767026614.123456 into …455 when it is truncated.
fn decimal_micros(literal: &str) -> Option<i128> {
    let Some((seconds, fraction)) = literal
        .split_once('.')
        .filter(|_| !literal.contains(['e', 'E']))
    else {
        // The cast saturates, far outside the range of a timestamp.
        return Some((literal.parse::<f64>().ok()? * 1e6) as i128);
    };
    let seconds: i128 = seconds.parse::<i64>().ok()?.into();
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = digits.fold(0, |micros, digit| micros * 10 + i128::from(digit - b'0'));
    Some(
        seconds * 1_000_000
            + if literal.starts_with('-') {
                -micros
            } else {
                micros
            },
    )
}

/// Parses an ISO 8601 date and time with an offset, truncated to a microsecond.
fn date(text: &str) -> Option<Timestamp> {
    const CONFIG: TimeConfig = TimeConfig {
        microseconds_precision_overflow_behavior: MicrosecondsPrecisionOverflowBehavior::Truncate,
        unix_timestamp_offset: None,
    };
    let parse = |text: &str| DateTime::parse_bytes_rfc3339_with_config(text.as_bytes(), &CONFIG);
    let date = parse(text)
        .ok()
        // PostgreSQL writes offsets of whole hours like +00, which speedate cannot parse.
        .or_else(|| parse(&format!("{text}:00")).ok())
        .filter(|date| date.time.tz_offset.is_some())?;
    let micros = date.timestamp_tz() * MICROS + i64::from(date.time.microsecond);
    Timestamp::from_unix_micros(micros)
}

#[cfg(test)]
mod tests {
    use crate::testing::{cell, reject};

    /// Returns the time that a value of the time key gives, as text.
    fn time(format: &str, json: &str) -> String {
        let column = if format == "Events" {
            "event_timestamp"
        } else {
            "timestamp"
        };
        cell(format, &format!(r#"{{"timestamp":{json}}}"#), column).unwrap()
    }

    #[test]
    fn dates_need_an_offset_and_lose_only_what_is_below_a_microsecond() {
        for (date, expected) in [
            ("2025-12-29T16:43:34Z", "2025-12-29T16:43:34.000000"),
            ("2025-12-29 16:43:34.5+00:00", "2025-12-29T16:43:34.500000"),
            (
                "2025-12-29T16:43:34.123456999Z",
                "2025-12-29T16:43:34.123456",
            ),
            (
                "2025-12-29T16:43:34.1234567890123456789012345Z",
                "2025-12-29T16:43:34.123456",
            ),
            ("2025-12-29T18:13:34+01:30", "2025-12-29T16:43:34.000000"),
            ("2025-12-29T11:43:34-0500", "2025-12-29T16:43:34.000000"),
            ("2025-12-29 17:43:34+01", "2025-12-29T16:43:34.000000"),
            ("2025-12-29T16:43:34", "now"),
            ("2025-12-29", "now"),
            ("2025-13-01T00:00:00Z", "now"),
            ("yesterday", "now"),
            ("1767026614", "now"),
            ("", "now"),
        ] {
            for format in [
                "Telemetry",
                "NetFlow",
                "OtelMetrics",
                "OtelTraces",
                "Logs",
                "Events",
            ] {
                assert_eq!(
                    time(format, &format!("\"{date}\"")),
                    expected,
                    "{format} {date}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_time_is_now() {
        for json in ["null", "true", "false", "{}", "[1]"] {
            for format in ["Telemetry", "OtelMetrics", "Events"] {
                assert_eq!(time(format, json), "now", "{format} {json}");
            }
        }
        assert_eq!(time("Telemetry", "1767026614.5"), "now");
        assert_eq!(time("Logs", "1.767026614e12"), "now");
    }

    #[test]
    fn units_follow_the_size() {
        for (format, json, expected) in [
            ("Telemetry", "1000000000001", "2001-09-09T01:46:40.001000"),
            // The boundary itself still has the larger unit.
            ("Telemetry", "1000000000000", "second 1000000000000"),
            ("NetFlow", "0", "1970-01-01T00:00:00.000000"),
            ("Telemetry", "-1", "1969-12-31T23:59:59.000000"),
            ("OtelMetrics", "1767026614123", "2025-12-29T16:43:34.123000"),
            (
                "OtelMetrics",
                "1767026614123456789",
                "2025-12-29T16:43:34.123456",
            ),
            (
                "OtelTraces",
                "1000000000000000001",
                "2001-09-09T01:46:40.000000",
            ),
            ("Logs", "1767026614", "1970-01-21T10:50:26.614000"),
            ("Events", "1767026614", "2025-12-29T16:43:34.000000"),
        ] {
            assert_eq!(time(format, json), expected, "{format} {json}");
        }
    }

    #[test]
    fn a_fraction_of_a_second_is_cut_off_exactly() {
        for (json, expected) in [
            ("1767026614.123456", "2025-12-29T16:43:34.123456"),
            ("1767026614.1234569", "2025-12-29T16:43:34.123456"),
            ("1767026614.25", "2025-12-29T16:43:34.250000"),
            ("1.76702661425e9", "2025-12-29T16:43:34.250000"),
            ("-0.5", "1969-12-31T23:59:59.500000"),
        ] {
            assert_eq!(time("Events", json), expected, "{json}");
        }
    }

    #[test]
    fn an_integer_beyond_the_range_is_rejected() {
        let digits = "9".repeat(40);
        for (format, json) in [
            ("Telemetry", "9223372036854775807"),
            ("Telemetry", "-999999999999999"),
            ("Telemetry", digits.as_str()),
            ("OtelMetrics", "999999999999999999"),
            ("OtelMetrics", "1000000000000000000"),
            ("OtelMetrics", "99999999999999999999999"),
            ("Logs", "-999999999999999999"),
            ("Events", "99999999999999"),
            ("Events", "99999999999999.5"),
            ("Events", "1e300"),
        ] {
            let reject = reject(format, &format!(r#"{{"timestamp":{json}}}"#));
            assert!(
                reject.starts_with(r#"field "timestamp": expected a time"#),
                "{reject}"
            );
        }
    }
}
