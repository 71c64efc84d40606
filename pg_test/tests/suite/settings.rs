//! Settings are checked when they are set.

mod connection;
mod effect;
mod refused;

use pg_test::postgres::Failure;
use pg_test::stack::Stack;

/// Refused values, and words of the explanation. PostgreSQL itself explains numbers and switches
/// (in its message) and lists of words (in its hint), the extension everything else (in the
/// detail).
const REFUSED: &[(&str, &[(&str, &str)])] = &[
    ("enabled", &[("maybe", "requires a Boolean value")]),
    (
        "nats_url",
        &[
            ("", "address"),
            ("http://nats:4222", "nats://"),
            ("nats://nats:99999", "nats:99999"),
            ("nats://user:secret@nats:4222", "password"),
            ("nats://good:4222, http://bad:4222", "http://bad:4222"),
        ],
    ),
    (
        "nats_domain",
        &[("two words", TOKEN), ("a.b", TOKEN), ("a>", TOKEN)],
    ),
    (
        "consumer",
        &[
            ("", "empty"),
            ("two words", TOKEN),
            ("a.b", TOKEN),
            ("a*", TOKEN),
        ],
    ),
    (
        "streams",
        &[
            ("telemetry, telemetry", "twice"),
            ("Tele metry", "Tele metry"),
        ],
    ),
    (
        "stream_telemetry",
        &[
            ("batch_size=0", "batch_size"),
            ("batch_size=many", "batch_size"),
            ("batch_size", "key=value"),
            ("batch_timeout=soon", "batch_timeout"),
            ("max_rate=-1", "max_rate"),
            ("colour=blue", "colour"),
            ("processor=telemetri", "telemetri"),
            ("subject=tele..metry", "tele..metry"),
            ("subject=telemetry.>.more", "telemetry.>.more"),
            ("table=a.b.c", "a.b.c"),
            ("nats_stream=a.b", "a.b"),
            ("batch_size=1 batch_size=2", "twice"),
        ],
    ),
    ("workers", &[("0", "(1 .. 16)"), ("100000", "(1 .. 16)")]),
    (
        "batch_size",
        &[
            ("0", "(1 .. 100000)"),
            ("-5", "(1 .. 100000)"),
            ("many", "\"many\""),
        ],
    ),
    (
        "batch_timeout",
        &[
            ("-1", "(1 ms .. 600000 ms)"),
            ("soon", "\"soon\""),
            ("1 fortnight", "Valid units"),
        ],
    ),
    ("max_batch_rows", &[("0", "(1 .. 1000000)"), ("x", "\"x\"")]),
    (
        "buffer_memory",
        &[
            ("0", "(1024 kB .. 4194303 kB)"),
            ("-1", "(1024 kB .. 4194303 kB)"),
            ("lots", "\"lots\""),
        ],
    ),
    (
        "insert_timeout",
        &[("-1", "(100 ms .. 3600000 ms)"), ("x", "\"x\"")],
    ),
    ("ack_after", &[("never", "flush, replicated, applied")]),
    (
        "retry_min_delay",
        &[("-1", "(1 ms .. 3600000 ms)"), ("x", "\"x\"")],
    ),
    (
        "retry_max_delay",
        &[("-1", "(1 ms .. 3600000 ms)"), ("x", "\"x\"")],
    ),
    ("breaker_failures", &[("-1", "(1 .. 1000)"), ("x", "\"x\"")]),
    (
        "breaker_reset",
        &[("-1", "(100 ms .. 3600000 ms)"), ("x", "\"x\"")],
    ),
    (
        "dead_letter_subject",
        &[
            ("two words", "\"two words\" is not a NATS subject"),
            ("dead.>", "\"dead.>\" is not a NATS subject"),
            ("a..b", "\"a..b\" is not a NATS subject"),
        ],
    ),
    (
        "dead_letter_retention",
        &[("-1", AGE), ("for ever", "\"for ever\"")],
    ),
    (
        "dead_letter_max_size",
        &[("-1", SIZE), ("huge", "\"huge\"")],
    ),
    ("max_message_age", &[("-1", AGE), ("x", "\"x\"")]),
    ("max_message_future", &[("-1", AGE), ("x", "\"x\"")]),
];

/// Characters allowed in a name that becomes part of NATS subjects.
const TOKEN: &str = "letters, digits, hyphens or underscores";
/// Any number of kilobytes.
const SIZE: &str = "(0 kB .. 2147483647 kB)";
/// At most fifty years.
const AGE: &str = "(0 s .. 1576800000 s)";

const ACCEPTED: &[(&str, &[&str])] = &[
    ("enabled", &["on", "off"]),
    ("database", &["serviceradar"]),
    (
        "nats_url",
        &[
            "nats://a:4222",
            "nats://a:4222, nats://b:4222",
            "tls://nats.example.com:4222",
        ],
    ),
    ("nats_domain", &["", "hub"]),
    ("consumer", &["db-writer", "db_writer_2"]),
    ("streams", &["telemetry", "telemetry, logs", "events,sweep"]),
    (
        "stream_telemetry",
        &[
            "",
            "batch_size=200 max_rate=1000",
            "processor=telemetry nats_stream=METRICS subject=a.>,b.* table=lake.readings",
            "batch_timeout=500ms",
            "batch_timeout=2s",
        ],
    ),
    ("workers", &["1", "2"]),
    ("batch_size", &["1", "1000"]),
    ("batch_timeout", &["100ms", "2s", "250"]),
    ("max_batch_rows", &["100", "20000"]),
    ("buffer_memory", &["8MB", "1GB"]),
    ("insert_timeout", &["5s", "1min"]),
    ("ack_after", &["flush", "replicated", "applied"]),
    ("retry_min_delay", &["100ms"]),
    ("retry_max_delay", &["1min"]),
    ("breaker_failures", &["1", "20"]),
    ("breaker_reset", &["1s"]),
    ("dead_letter_subject", &["", "dead.letters"]),
    ("dead_letter_retention", &["0", "7d"]),
    ("dead_letter_max_size", &["0", "2GB"]),
    ("max_message_age", &["0", "7d"]),
    ("max_message_future", &["1h", "1d"]),
];

/// Returns true if the explanation contains the words. If the extension refuses a value, the
/// message only repeats name and value, so it does not count.
fn explains(failure: &Failure, words: &str) -> bool {
    let texts = match failure.detail.is_empty() {
        true => [&failure.message, &failure.hint],
        false => [&failure.detail, &failure.hint],
    };
    texts.iter().any(|text| text.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_value_is_refused_with_a_reason_when_it_is_set() {
    let stack = Stack::builder().without_tables().disabled().start().await;
    let mut faults = Vec::new();
    for &(name, values) in REFUSED.iter().chain(connection::REFUSED) {
        for &(value, word) in values {
            let refused = stack
                .pg
                .try_alter_system(&format!("sr_event_writer.{name}"), value)
                .await;
            match refused {
                Ok(()) => faults.push(format!("{name} = '{value}' was accepted")),
                Err(failure) if failure.sqlstate() != "22023" => {
                    faults.push(format!("{name} = '{value}': {failure}"));
                }
                Err(failure) if !explains(&failure, word) => {
                    faults.push(format!(
                        "{name} = '{value}' is not explained ({word}): {failure}"
                    ));
                }
                Err(_) => {}
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_value_is_accepted_and_a_misspelt_name_is_not() {
    let stack = Stack::builder().without_tables().disabled().start().await;
    let mut faults = Vec::new();
    for &(name, values) in ACCEPTED.iter().chain(connection::ACCEPTED) {
        for value in values {
            let key = format!("sr_event_writer.{name}");
            if let Err(failure) = stack.pg.try_alter_system(&key, value).await {
                faults.push(format!("{name} = '{value}': {failure}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(
        stack
            .pg
            .try_alter_system("sr_event_writer.batchsize", "5")
            .await
            .is_err()
    );
}

/// The documentation promises these; `pg_settings` is what users see.
#[tokio::test(flavor = "multi_thread")]
async fn the_defaults_are_the_documented_ones() {
    let stack = Stack::builder().without_tables().disabled().start().await;
    let documented = [
        ("enabled", "off"),
        ("database", "postgres"),
        ("nats_url", "nats://nats:4222"),
        ("nats_domain", ""),
        ("consumer", "db-writer"),
        (
            "streams",
            "telemetry, events, sweep, netflow, otel_metrics, otel_traces, logs",
        ),
        ("stream_telemetry", ""),
        ("stream_otel_metrics", ""),
        ("workers", "1"),
        ("batch_size", "100"),
        ("batch_timeout", "1000"),
        ("max_batch_rows", "5000"),
        ("buffer_memory", "65536"),
        ("insert_timeout", "30000"),
        ("ack_after", "flush"),
        ("retry_min_delay", "500"),
        ("retry_max_delay", "30000"),
        ("breaker_failures", "5"),
        ("breaker_reset", "30000"),
        ("dead_letter_subject", ""),
        ("dead_letter_retention", "2592000"),
        ("dead_letter_max_size", "0"),
        ("max_message_age", "0"),
        ("max_message_future", "86400"),
    ];
    let sql = "SELECT boot_val FROM pg_settings WHERE name = 'sr_event_writer.' || $1";
    let mut faults = Vec::new();
    for (name, value) in documented.into_iter().chain(connection::DEFAULTS) {
        let rows = stack.pg.query(sql, &[&name]).await;
        let found: Option<String> = rows.first().and_then(|row| row.get(0));
        if found.as_deref() != Some(value) {
            faults.push(format!("{name}: {found:?} instead of {value:?}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
