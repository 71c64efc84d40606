//! Messages that the server stores and delivers but the client library cannot parse: it treats the
//! connection of all pipelines as broken.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::nats::RawPublisher;
use pg_test::stack::Stack;
use pg_test::wait::{eventually, eventually_equal};
use tokio::time::Instant;

/// A block of headers, what is behind the first token of the subject, and what the dead letter
/// says.
pub type Kind = (&'static [u8], &'static [u8], &'static str);

const PLAIN: &[u8] = b".odd";
/// All of them.
pub const KINDS: [Kind; 15] = [
    (b"NATS/1.0\r\nX: \xff\r\n\r\n", PLAIN, "headers: not UTF-8"),
    (b"NATS/1.0\r\nA B: c\r\n\r\n", PLAIN, "headers: a name"),
    (b"NATS/1.0\r\n\xc3\x84: c\r\n\r\n", PLAIN, "headers: a name"),
    (b"NATS/1.0\r\nabc\r\n\r\n", PLAIN, "headers: a line without"),
    (
        b"NATS/1.0\r\nA: b\rc\r\n\r\n",
        PLAIN,
        "headers: a value with",
    ),
    (b"NATS/1.0 abc\n\n", PLAIN, "headers: a status line (abc)"),
    (b"NATS/1.0\nA B: c\n\n", PLAIN, "headers: a name"),
    (
        b"NATS/2.0\r\nA: b\r\n\r\n",
        PLAIN,
        "headers: the first line",
    ),
    (b"", b".\xff", "subject: not UTF-8"),
    (b"NATS/1.0\r\nA: b\r\n\r\n", b".\xff", "subject: not UTF-8"),
    (
        b"NATS/1.0\r\nA: b\r\n\r\n",
        b".a\xc2\xa0b",
        "subject: white",
    ),
    (b"NATS/1.0 503\n\n", PLAIN, "headers: a status line (503)"),
    (b"NATS/1.0 100\n\n", PLAIN, "headers: a status line (100)"),
    (b"NATS/1.0 408\n\n", PLAIN, "headers: a status line (408)"),
    (b"NATS/1.0 409\n\n", PLAIN, "headers: a status line (409)"),
];
const PAYLOAD: &[u8] = b"\x00\x01 what it was";
/// Neither is a pipeline delayed by more than this, nor do others wait for it.
pub const PROMPT: Duration = Duration::from_secs(10);
const GOOD: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_client_cannot_read_cost_only_themselves() {
    let stack = Stack::start().await;
    good(&stack, 0..1).await;
    rows(&stack, 1, Duration::from_secs(60)).await;
    let quiet = stack.pg.log().len();

    // All kinds in front of good messages, in every stream.
    let mut publisher = RawPublisher::connect(stack.nats.port()).await;
    for feed in Feed::ALL {
        for kind in &KINDS {
            publish(&mut publisher, feed, kind).await;
        }
    }
    publisher.flush().await;
    good(&stack, 1..GOOD).await;
    let start = Instant::now();
    rows(&stack, GOOD, Duration::from_secs(60)).await;
    let took = start.elapsed();
    for feed in Feed::ALL {
        expect_letters(&stack, feed, KINDS.len()).await;
    }
    // Each kind alone, one after the other.
    for (number, kind) in KINDS.iter().enumerate() {
        publish(&mut publisher, Feed::Netflow, kind).await;
        publisher.flush().await;
        expect_letters(&stack, Feed::Netflow, KINDS.len() + number + 1).await;
    }
    let start = Instant::now();
    good(&stack, GOOD..GOOD + 10).await;
    rows(&stack, GOOD + 10, Duration::from_secs(60)).await;
    assert!(took < PROMPT, "good messages took {took:?}");
    assert!(start.elapsed() < PROMPT, "it took {:?}", start.elapsed());
    expect_complete_dead_letters(&stack).await;
    let log = stack.pg.log();
    let said = log[quiet..]
        .lines()
        .filter(|line| line.contains("sr_event_writer: "));
    let said: Vec<_> = said.filter(|line| !line.contains("dead letter")).collect();
    assert!(said.len() < 10, "{} lines: {said:#?}", said.len());
}

/// Publishes good messages with these numbers, everywhere.
async fn good(stack: &Stack, numbers: std::ops::Range<u64>) {
    for feed in Feed::ALL {
        let messages = Generator::new(17).range(feed, numbers.clone());
        stack.nats.publish_messages(messages).await;
    }
}

async fn rows(stack: &Stack, count: u64, within: Duration) {
    for feed in Feed::ALL {
        stack.expect_rows(feed, count, within).await;
    }
}

/// Publishes a message of this kind.
pub async fn publish(publisher: &mut RawPublisher, feed: Feed, kind: &Kind) {
    let name = feed.subjects();
    let name = name.trim_end_matches(".>").as_bytes();
    let &(header, rest, _) = kind;
    let subject = [name, rest].concat();
    match header {
        b"" => publisher.publish(&subject, PAYLOAD).await,
        header => {
            publisher
                .publish_with_headers(&subject, header, PAYLOAD)
                .await
        }
    }
}

/// Waits until so many messages of a pipeline are set aside.
pub async fn expect_letters(stack: &Stack, feed: Feed, count: usize) {
    let count = i64::try_from(count).unwrap();
    let what = format!("dead letters of {}", feed.name());
    let within = Duration::from_secs(60);
    eventually_equal(within, what, count, async || stack.dead_letters(feed).await).await;
}

/// The dead letters of one pipeline say what was wrong, and have every byte.
async fn expect_complete_dead_letters(stack: &Stack) {
    let sql = "SELECT stage || sqlstate, error, payload, coalesce(raw_headers, ''), headers IS NULL
                 FROM sr_event_writer.dead_letter WHERE lower(stream) = 'logs' ORDER BY sequence";
    let letters = stack.pg.query(sql, &[]).await;
    for (letter, &(header, rest, reason)) in letters.iter().zip(&KINDS) {
        let error: String = letter.get(1);
        assert!(error.starts_with(reason), "{error} for {reason}");
        assert_eq!(letter.get::<_, String>(0), "decode22000", "{error}");
        assert_eq!(letter.get::<_, Vec<u8>>(2), PAYLOAD, "{error}");
        let raw: Vec<u8> = letter.get(3);
        let expected = if rest == PLAIN { header } else { b"" };
        assert_eq!(raw, expected, "{error}");
        let without_headers = rest == PLAIN || header.is_empty();
        assert_eq!(letter.get::<_, bool>(4), without_headers, "{error}");
    }
    eventually(Duration::from_secs(30), "nothing is left", async || {
        for feed in Feed::ALL {
            let info = stack
                .nats
                .consumer(&feed.stream(), &feed.consumer())
                .await?;
            if (info.num_pending, info.num_ack_pending) != (0, 0) {
                return Err(format!("{info:?}"));
            }
        }
        Ok(())
    })
    .await;
}
