//! Somebody edits the consumer by hand while messages flow.

use std::time::Duration;

use async_nats::jetstream::consumer::{FromConsumer, pull};
use async_nats::jetstream::stream::{RetentionPolicy, Stream};
use pg_test::messages::{Generator, Message};
use pg_test::nats::Access;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;
use serde_json::{Value, json};

use crate::nats_faults::{
    FEED, RECOVERY, builder, expect_exactly, publish, publish_during, rows_go_on, stream_says,
};

async fn stream(access: &Access) -> Stream {
    let stream = access.jetstream().await.get_stream(FEED.stream()).await;
    stream.expect("the stream")
}

async fn config(access: &Access) -> pull::Config {
    let found = access.consumer(&FEED.stream(), &FEED.consumer()).await;
    let config = found.expect("the consumer").config;
    pull::Config::try_from_consumer_config(config).expect("a pull consumer")
}

/// Changes what `edit` changes, and returns how it was before.
async fn edit(access: &Access, edit: impl FnOnce(&mut pull::Config)) -> pull::Config {
    let before = config(access).await;
    let mut edited = before.clone();
    edit(&mut edited);
    assert_ne!(edited, before, "an edit changes something");
    let updated = stream(access).await.update_consumer(edited).await;
    updated.expect("the edit is accepted");
    before
}

async fn is_put_right(stack: &Stack, before: &pull::Config) {
    eventually(RECOVERY, "the consumer is as it was", async || {
        let mut now = config(&stack.nats).await;
        // Each session writes its own name there.
        now.metadata.clone_from(&before.metadata);
        if now == *before {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_somebody_sets_on_the_consumer_are_put_right_and_cost_nothing() {
    limits_are_put_right(RetentionPolicy::WorkQueue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_a_consumer_that_takes_no_acknowledgements_are_put_right_too() {
    limits_are_put_right(RetentionPolicy::Limits).await;
}

async fn limits_are_put_right(retention: RetentionPolicy) {
    let stack = builder().without_streams().start().await;
    stack.create_stream_keeping(FEED, retention).await;
    let faults = async {
        rows_go_on(&stack).await;
        let edits: [fn(&mut pull::Config); 10] = [
            |config| config.max_ack_pending = 1,
            |config| config.max_deliver = 1,
            |config| config.ack_wait = Duration::from_millis(1),
            |config| config.max_batch = 10,
            // No request is refused for that: it is seen by looking alone.
            |config| config.max_batch = 1_000_000,
            |config| config.headers_only = true,
            |config| config.backoff = vec![Duration::from_secs(1), Duration::from_secs(2)],
            |config| config.inactive_threshold = Duration::from_secs(3_600),
            |config| config.max_bytes = 1 << 30,
            |config| config.max_expires = Duration::from_secs(3_600),
        ];
        for change in edits {
            let before = edit(&stack.nats, change).await;
            is_put_right(&stack, &before).await;
            rows_go_on(&stack).await;
        }
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
}

/// The server tells what the consumer delivered last, not how far it has looked, so it seems to
/// stand where it should.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_another_filter_passed_over_in_a_quiet_stream_are_not_forgotten() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    stack.expect_all_acknowledged(FEED).await;
    let before = edit(&stack.nats, |config| {
        config.filter_subject = "netflow.other".to_owned();
    })
    .await;
    publish(&stack.nats, 10..20).await;
    is_put_right(&stack, &before).await;
    publish(&stack.nats, 20..30).await;
    expect_exactly(&stack, 30).await;
}

/// Where a session that fails is not followed by another one soon, it must not fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_stands_where_it_should_is_set_there_again() {
    let stack = builder()
        .setting("sr_event_writer.retry_min_delay", "5min")
        .setting("sr_event_writer.retry_max_delay", "10min")
        .start()
        .await;
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    stack.expect_all_acknowledged(FEED).await;
    stack.pg.restart().await;
    publish(&stack.nats, 10..20).await;
    stack.expect_rows(FEED, 20, SOON).await;
    expect_exactly(&stack, 20).await;
}

/// Pauses the consumer until a time, or resumes it.
pub async fn pause(access: &Access, until: Value) {
    let subject = format!("CONSUMER.PAUSE.{}.{}", FEED.stream(), FEED.consumer());
    let context = access.jetstream().await;
    let answer: Value = context.request(subject, &until).await.expect("an answer");
    assert_eq!(answer["error"], Value::Null, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_consumer_is_left_alone_and_named() {
    let stack = builder().start().await;
    let faults = async {
        rows_go_on(&stack).await;
        pause(
            &stack.nats,
            json!({ "pause_until": "2100-01-01T00:00:00Z" }),
        )
        .await;
        stream_says(&stack, RECOVERY, "degraded", &["paused in NATS"]).await;
        pause(&stack.nats, json!({})).await;
        rows_go_on(&stack).await;
        stream_says(&stack, RECOVERY, "running", &[]).await;
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
}

/// Messages that the consumer skips meanwhile are neither lost nor recorded as removed.
#[tokio::test(flavor = "multi_thread")]
async fn another_filter_on_the_consumer_is_put_right_and_costs_nothing() {
    let stack = builder().start().await;
    let faults = async {
        rows_go_on(&stack).await;
        let before = edit(&stack.nats, |config| {
            config.filter_subject = "netflow.other".to_owned();
        })
        .await;
        // Messages that the filter lets through, with others between them.
        for number in 0..5 {
            publish(&stack.nats, 1_000_000 + number..1_000_001 + number).await;
            stack
                .nats
                .publish_messages([other(2_000_000 + number)])
                .await;
        }
        is_put_right(&stack, &before).await;
        rows_go_on(&stack).await;
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count + 10).await;
}

fn other(number: u64) -> Message {
    let mut message = Generator::new(11).good(FEED, number);
    message.subject = "netflow.other".to_owned();
    message
}
