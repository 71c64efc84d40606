//! Messages that the client library cannot parse, in streams that drop acknowledged messages: they
//! have to be removed as well, or they would block the stream for ever.

use std::ops::Range;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::nats::{Cluster, Nats, RawPublisher};
use pg_test::stack::{Builder, Stack};
use pg_test::wait::{eventually, eventually_equal};
use tokio::time::Instant;

use crate::fixtures::gaps;
use crate::nats_faults::unreadable::{KINDS, PROMPT, expect_letters, publish};
use crate::nats_faults::{RECOVERY, builder};

const QUEUE: Feed = Feed::Netflow;
const INTEREST: Feed = Feed::Telemetry;
const OTHER: Feed = Feed::Logs;
const FEEDS: [(Feed, RetentionPolicy); 3] = [
    (QUEUE, RetentionPolicy::WorkQueue),
    (INTEREST, RetentionPolicy::Interest),
    (OTHER, RetentionPolicy::Limits),
];

async fn start(builder: Builder) -> Stack {
    let stack = builder
        .without_streams()
        .setting("sr_event_writer.streams", "netflow,telemetry,logs")
        .start()
        .await;
    for (feed, retention) in FEEDS {
        let subjects = feed.subjects();
        stack
            .jetstream
            .create_stream_keeping(&feed.stream(), &[&subjects], retention)
            .await;
        // An interest stream drops what is published while it has no consumer.
        eventually(RECOVERY, "the consumer is made", async || {
            stack
                .jetstream
                .consumer(&feed.stream(), &feed.consumer())
                .await
        })
        .await;
    }
    stack
}

async fn good(stack: &Stack, feed: Feed, numbers: Range<u64>) {
    let messages = Generator::new(17).range(feed, numbers);
    stack.jetstream.publish_messages(messages).await;
}

/// Publishes messages of some kinds to both streams.
async fn odd(nats: &Nats, kinds: Range<usize>) {
    let mut publisher = RawPublisher::connect(nats.port()).await;
    for kind in &KINDS[kinds] {
        publish(&mut publisher, QUEUE, kind).await;
        publish(&mut publisher, INTEREST, kind).await;
    }
    publisher.flush().await;
}

async fn expect_empty(stack: &Stack, feed: Feed) {
    let what = format!("nothing is left in {}", feed.stream());
    eventually_equal(RECOVERY, what, 0, async || {
        let state = stack.jetstream.stream_state(&feed.stream()).await;
        Ok::<_, String>(state.messages)
    })
    .await;
}

/// Each message is set aside once, with the bytes of its headers.
async fn expect_each_letter_once(stack: &Stack, feed: Feed) {
    let sql = format!(
        "SELECT error, coalesce(raw_headers, '') FROM sr_event_writer.dead_letter
         WHERE stream = '{}' ORDER BY sequence",
        feed.name()
    );
    let letters = stack.pg.query(&sql, &[]).await;
    assert_eq!(letters.len(), KINDS.len(), "dead letters");
    for (letter, &(header, rest, reason)) in letters.iter().zip(&KINDS) {
        let error: String = letter.get(0);
        assert!(error.starts_with(reason), "{error} for {reason}");
        let raw: Vec<u8> = letter.get(1);
        let expected = if rest == b".odd" { header } else { b"" };
        assert_eq!(raw, expected, "{error}");
    }
}

/// Somebody else reads the interest stream, and has not yet read anything.
async fn another_consumer(stack: &Stack) {
    let context = stack.nats.jetstream().await;
    let stream = context.get_stream(INTEREST.stream()).await;
    let config = pull::Config {
        durable_name: Some("another".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let made = stream.expect("the stream").create_consumer(config).await;
    made.expect("a consumer");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_client_cannot_read_are_set_aside_once_and_leave_the_queue() {
    let stack = start(builder()).await;
    another_consumer(&stack).await;
    // In front of good messages, between them and behind them.
    for part in 0..3 {
        let kinds = part * 5;
        odd(&stack.nats, kinds..kinds + 5).await;
        if part < 2 {
            let numbers = part as u64 * 50..(part as u64 + 1) * 50;
            good(&stack, QUEUE, numbers.clone()).await;
            good(&stack, INTEREST, numbers).await;
        }
    }
    let start = Instant::now();
    good(&stack, OTHER, 0..50).await;
    stack.expect_rows(OTHER, 50, RECOVERY).await;
    let other = start.elapsed();
    for feed in [QUEUE, INTEREST] {
        stack.expect_rows(feed, 100, RECOVERY).await;
        expect_letters(&stack, feed, KINDS.len()).await;
    }
    let took = start.elapsed();
    expect_empty(&stack, QUEUE).await;
    let all = 100 + KINDS.len() as u64;
    let state = stack.nats.stream_state(&INTEREST.stream()).await;
    assert_eq!(state.messages, all, "what the other consumer has not read");
    let interest = stack.nats.jetstream().await;
    let interest = interest.get_stream(INTEREST.stream()).await;
    let interest = interest.expect("the stream");
    let deleted = interest.delete_consumer("another").await;
    deleted.expect("the other consumer is deleted");
    expect_empty(&stack, INTEREST).await;

    // One alone, with nothing behind it, while everything is quiet.
    let mut publisher = RawPublisher::connect(stack.nats.port()).await;
    publish(&mut publisher, QUEUE, &KINDS[0]).await;
    publisher.flush().await;
    expect_letters(&stack, QUEUE, KINDS.len() + 1).await;
    for feed in [QUEUE, INTEREST] {
        good(&stack, feed, 100..110).await;
        stack.expect_rows(feed, 110, RECOVERY).await;
        expect_empty(&stack, feed).await;
    }
    expect_each_letter_once(&stack, INTEREST).await;
    assert_eq!(gaps(&stack).await, [], "gaps");
    assert!(other < PROMPT, "the other pipeline took {other:?}");
    assert!(took < PROMPT, "it took {took:?}");
}

/// The dead letters are committed and nothing is acknowledged when the worker dies.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_set_aside_by_an_earlier_worker_is_only_acknowledged() {
    let stack = start(builder()).await;
    let standby = "synchronous_standby_names";
    let replicated = stack
        .pg
        .try_alter_system("sr_event_writer.ack_after", "replicated");
    replicated.await.expect("a setting");
    stack.pg.alter_system(standby, "nobody").await;
    odd(&stack.nats, 0..KINDS.len()).await;
    for feed in [QUEUE, INTEREST] {
        good(&stack, feed, 0..50).await;
        stack.expect_rows(feed, 50, RECOVERY).await;
        expect_letters(&stack, feed, KINDS.len()).await;
        // New messages need not wait for the standby either.
        good(&stack, feed, 50..60).await;
        stack.expect_rows(feed, 60, RECOVERY).await;
        let kept = stack.nats.stream_state(&feed.stream()).await.messages;
        assert_eq!(kept, 60 + KINDS.len() as u64, "messages that are kept");
    }

    stack.pg.kill_worker().await;
    eventually(RECOVERY, "the standby is done without", async || {
        stack.pg.try_alter_system(standby, "").await?;
        stack.pg.try_execute("SELECT pg_reload_conf()").await
    })
    .await;
    for feed in [QUEUE, INTEREST] {
        expect_empty(&stack, feed).await;
        expect_each_letter_once(&stack, feed).await;
        stack.expect_rows(feed, 60, Duration::from_secs(1)).await;
    }
    assert_eq!(gaps(&stack).await, [], "gaps");
}

/// There a consumer is moved, and a message removed, only when most servers know of it.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_the_client_cannot_read_leave_the_queue_of_a_cluster_as_well() {
    let cluster = Cluster::start().await;
    let stack = start(builder().cluster(&cluster)).await;
    let [server, ..] = cluster.servers();
    odd(server, 0..KINDS.len()).await;
    for feed in [QUEUE, INTEREST] {
        good(&stack, feed, 0..50).await;
        stack.expect_rows(feed, 50, RECOVERY).await;
        expect_letters(&stack, feed, KINDS.len()).await;
        expect_empty(&stack, feed).await;
        expect_each_letter_once(&stack, feed).await;
    }
    assert_eq!(gaps(&stack).await, [], "gaps");
}
