//! With exactly the documented permissions everything works.

use async_nats::Subscriber;
use async_nats::jetstream::stream::RetentionPolicy;
use futures_util::StreamExt;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use super::{DEAD_LETTERS, create_consumer_of_another_kind, with_users};
use crate::nats_faults::{FEED, RECOVERY, expect_exactly, publish};

/// The server has refused nothing.
fn assert_nothing_refused(stack: &Stack) {
    let log = stack.nats.log();
    let refused = log
        .lines()
        .find(|line| line.contains("Permissions Violation"));
    assert_eq!(refused, None);
    assert!(!stack.pg.log_contains("Permissions Violation"));
}

async fn subscribe_to_dead_letters(stack: &Stack) -> Subscriber {
    let client = stack.nats.client().await;
    let subscribed = client.subscribe(format!("{DEAD_LETTERS}.>")).await;
    subscribed.expect("a subscription")
}

/// Waits until the dead letter of the message that is no JSON is published.
async fn expect_published(dead: &mut Subscriber) {
    let published = tokio::time::timeout(SOON, dead.next()).await;
    assert_eq!(
        published.expect("in time").expect("a dead letter").payload,
        "no JSON"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_keeps_everything_is_read_after_each_kind_of_interruption() {
    let stack = with_users("nothing").disabled().start().await;
    create_consumer_of_another_kind(&stack).await;
    stack.enable().await;
    publish(&stack.nats, 0..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;
    // The position is compared with the stream at each connect.
    stack.nats.restart().await;
    publish(&stack.nats, 100..200).await;
    stack.expect_rows(FEED, 200, RECOVERY).await;
    // Part of the subjects: the consumer gets a filter.
    let option = "sr_event_writer.stream_netflow";
    stack.pg.alter_system(option, "subject=netflow.raw.>").await;
    publish(&stack.nats, 200..300).await;
    stack.pg.alter_system(option, "").await;
    stack.expect_rows(FEED, 300, RECOVERY).await;
    expect_exactly(&stack, 300).await;
    let mut dead = subscribe_to_dead_letters(&stack).await;
    stack.nats.publish_all("netflow.bad", ["no JSON"]).await;
    eventually(SOON, "a dead letter", async || {
        stack.dead_letters(FEED).await.is_ok_and(|count| count == 1)
    })
    .await;
    expect_published(&mut dead).await;
    assert_nothing_refused(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_queue_is_read_and_acknowledged_and_dead_letters_are_published() {
    let stack = with_users("nothing")
        .without_streams()
        .disabled()
        .start()
        .await;
    stack
        .create_stream_keeping(FEED, RetentionPolicy::WorkQueue)
        .await;
    let mut dead = subscribe_to_dead_letters(&stack).await;
    stack.enable().await;
    publish(&stack.nats, 0..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;
    stack.nats.publish_all("netflow.bad", ["no JSON"]).await;
    expect_published(&mut dead).await;
    stack.expect_all_acknowledged(FEED).await;
    assert_nothing_refused(&stack);
}
