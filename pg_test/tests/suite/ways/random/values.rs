//! Values in spellings that a careless encoding would corrupt, as they appear in JSON.

use pg_test::random::Random;

/// Texts: escapes, strings with a meaning in COPY or SQL, and characters of every length.
#[rustfmt::skip]
const PIECES: [&str; 24] = [
    "a", "Z", " ", "0", "größe", "✓", "🦀", "e\u{301}", "\u{feff}", "\u{7f}", r"\u0000", r"\ud800",
    r"\uD83E\uDD80", r"\u00e9", r"\\N", r"\\.", r"\\", r"\t\n\r\f\b", r#"\""#, r"\/", "{}", ",", "'", "NULL",
];
#[rustfmt::skip]
const FLOATS: [&str; 14] = [
    "0", "-0", "-0.0", "0.1", "1.50", "1E+2", "3", "5e-324", "1e-400", "1e308", "-1e308",
    "1.7976931348623157e308", "9007199254740993", "123456789012345678901234567890.10",
];
#[rustfmt::skip]
const ODD_TIMES: [&str; 12] = [
    "\"0001-01-01T00:00:00Z\"", "\"9999-12-31T23:59:59Z\"", "-1", "0", "1e300", "1767026614.75",
    "99999999999999999999", "\"\"", "\"yesterday\"", "\"infinity\"", "{}", "false",
];
#[rustfmt::skip]
const LEVELS: [&str; 9] = [
    "0", "7", "8", "4.0", "\"3\"", "\"error\"", "\"debug\"", "\"loud\"", "false",
];

/// Mostly short; sometimes so long that it is compressed or stored out of line.
pub fn text(random: &mut Random) -> String {
    match random.below(120) {
        0..4 => integer(random),
        4..8 => boolean(random),
        8 => format!(
            "\"{}\"",
            random.pick(&PIECES).repeat(random.below(5_000) as usize)
        ),
        9 => {
            let words = random.below(150);
            noise(random, words)
        }
        _ => string(random),
    }
}

/// Returns text that cannot be compressed: 16 characters a word.
pub fn noise(random: &mut Random, words: u64) -> String {
    let words = (0..words).map(|_| format!("{:016x}", random.draw()));
    format!("\"{}\"", words.collect::<String>())
}

fn string(random: &mut Random) -> String {
    let pieces = (0..random.below(5)).map(|_| *random.pick(&PIECES));
    format!("\"{}\"", pieces.collect::<String>())
}

/// A whole number of 32 bits.
pub fn integer(random: &mut Random) -> String {
    let any = i64::from(random.draw() as i32);
    let number = *random.pick(&[0, 1, -1, 443, i64::from(i32::MAX), i64::from(i32::MIN), any]);
    spelled(random, number)
}

/// A whole number of 64 bits.
pub fn wide(random: &mut Random) -> String {
    let any = random.draw() as i64;
    let number = *random.pick(&[0, -1, i64::MAX, i64::MIN, any, any >> 32]);
    spelled(random, number)
}

fn spelled(random: &mut Random, number: i64) -> String {
    match random.below(8) {
        0 => format!("{number}.0"),
        1 => format!("{number}.00E+0"),
        2 => format!("\"{number}\""),
        3 => format!("\"{number}e0\""),
        4 if number != 0 => format!("{number}00e-2"),
        _ => number.to_string(),
    }
}

/// A number that a double can hold.
pub fn float(random: &mut Random) -> String {
    let any = f64::from_bits(random.draw());
    match random.below(6) {
        0 if any.is_finite() => format!("{any:e}"),
        1 if any.is_finite() => format!("\"{any}\""),
        2 => format!("\"{}\"", random.pick(&FLOATS)),
        3 => integer(random),
        _ => (*random.pick(&FLOATS)).to_owned(),
    }
}

/// In all spellings that count as one.
pub fn boolean(random: &mut Random) -> String {
    let spellings = ["true", "false", "\"true\"", "\"false\"", "1", "0", "1.0"];
    (*random.pick(&spellings)).to_owned()
}

/// Returns the level of an event, which may also be a word.
pub fn level(random: &mut Random) -> String {
    (*random.pick(&LEVELS)).to_owned()
}

/// Returns the type of an event with a known form, or parts of one.
pub fn event_type(random: &mut Random) -> String {
    let words = [
        "com.carverauto.serviceradar.poller.health",
        "com.carverauto.serviceradar.device.lifecycle",
        "events.poller.health",
        "events.devices.lifecycle",
        "unhealthy",
        "unknown",
        "alias_updated",
        "DELETED",
    ];
    format!("\"{}\"", random.pick(&words))
}

/// An object mostly; also as a string, and what is no document at all. Seldom one that is too deep.
pub fn document(random: &mut Random) -> String {
    match random.below(60) {
        0..8 => quoted(&node(random, 3)),
        8..12 => text(random),
        12..16 => "{ }".to_owned(),
        16..18 => node(random, 0),
        18 => {
            let depth = 60 + random.below(50) as usize;
            format!("{{\"deep\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
        }
        _ => object(random, 3),
    }
}

fn quoted(json: &str) -> String {
    serde_json::Value::from(json).to_string()
}

fn object(random: &mut Random, depth: u32) -> String {
    let members = (0..random.below(5)).map(|_| {
        let key = string(random);
        format!("{key}: {}", node(random, depth))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(" ,"))
}

fn node(random: &mut Random, depth: u32) -> String {
    match random.below(if depth == 0 { 4 } else { 7 }) {
        0 => string(random),
        1 => (*random.pick(&FLOATS)).to_owned(),
        2 => (*random.pick(&["true", "false", "null"])).to_owned(),
        3 => random.draw().to_string(),
        4 => {
            let items = (0..random.below(4)).map(|_| node(random, depth - 1));
            format!("[{}]", items.collect::<Vec<_>>().join(",\n"))
        }
        _ => object(random, depth - 1),
    }
}

/// A time of a column whose integers are seconds or milliseconds.
pub fn seconds_or_millis(random: &mut Random) -> String {
    let at = unix_seconds(random);
    let millis = random.below(1_000);
    time(random, [at.to_string(), format!("{at}{millis:03}")])
}

/// A time of a column whose integers are milliseconds or nanoseconds.
pub fn millis_or_nanos(random: &mut Random) -> String {
    let (at, fraction) = (unix_seconds(random), random.below(1_000));
    time(
        random,
        [format!("{at}{fraction:03}"), format!("{at}{fraction:09}")],
    )
}

/// A time of a column whose numbers are seconds.
pub fn seconds(random: &mut Random) -> String {
    let (at, fraction) = (unix_seconds(random), random.draw());
    time(random, [at.to_string(), format!("{at}.{fraction}")])
}

/// Some hours of eight weeks: a hypertable has a chunk for each of these.
fn unix_seconds(random: &mut Random) -> u64 {
    1_767_026_614 - random.below(8) * 7 * 86_400 + random.below(5) * 3_600 + random.below(9)
}

fn time(random: &mut Random, numbers: [String; 2]) -> String {
    match random.below(80) {
        0..40 => random.pick(&numbers).clone(),
        40 => odd_time(random),
        _ => date(random),
    }
}

/// A date; without an offset it is none.
pub fn date(random: &mut Random) -> String {
    let (month, day) = (11 + random.below(2), 1 + random.below(28));
    let (hour, minute) = (random.below(24), random.below(60));
    let separator = random.pick(&["T", " ", "t"]);
    let fraction = random.pick(&["", ".5", ".000001", ".123456789"]);
    let offset = random.pick(&["Z", "z", "+00", "+02:00", "-11:30", ""]);
    format!("\"2025-{month}-{day:02}{separator}{hour:02}:{minute:02}:07{fraction}{offset}\"")
}

/// Returns a time far away, or a value that is no time.
pub fn odd_time(random: &mut Random) -> String {
    (*random.pick(&ODD_TIMES)).to_owned()
}
