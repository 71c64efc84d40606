//! One of the servers is unavailable for a while: nobody has to intervene.
//!
//! `SR_OUTAGE_SECONDS=60` makes it a minute.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::Stop;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::throughout;

use crate::fixtures::{assert_unharmed, number};

/// The longest delay between two attempts is half a minute by default, and it is jittered.
const RECOVERY: Duration = Duration::from_secs(75);

fn outage() -> Duration {
    Duration::from_secs(number("SR_OUTAGE_SECONDS", 8))
}

async fn publish(stack: &Stack, numbers: std::ops::Range<u64>) {
    let generator = Generator::new(7);
    for feed in [Feed::Telemetry, Feed::Logs] {
        stack
            .nats
            .publish_messages(generator.range(feed, numbers.clone()))
            .await;
    }
}

async fn expect(stack: &Stack, count: u64, within: Duration) {
    for feed in [Feed::Telemetry, Feed::Logs] {
        stack.expect_rows(feed, count, within).await;
        stack.expect_all_acknowledged(feed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_recovers_by_itself_when_nats_was_away() {
    let stack = Stack::builder().without_keys().start().await;
    publish(&stack, 0..1_000).await;
    expect(&stack, 1_000, SOON).await;
    let worker = stack.pg.worker_pid().await;

    stack.nats.stop().await;
    throughout(
        outage(),
        "PostgreSQL and the worker stay as they were",
        async || match stack.pg.try_worker_pid().await {
            Ok(Some(pid)) if pid == worker => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;

    stack.nats.start().await;
    publish(&stack, 1_000..2_000).await;
    expect(&stack, 2_000, RECOVERY).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_recovers_by_itself_when_nats_was_frozen() {
    let stack = Stack::builder().without_keys().start().await;
    publish(&stack, 0..1_000).await;
    expect(&stack, 1_000, SOON).await;

    stack.nats.freeze();
    throughout(outage(), "PostgreSQL answers", async || {
        stack.rows(Feed::Telemetry).await
    })
    .await;
    stack.nats.unfreeze();

    publish(&stack, 1_000..2_000).await;
    expect(&stack, 2_000, RECOVERY).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_recovers_by_itself_when_postgresql_was_away() {
    let stack = Stack::builder().without_keys().start().await;
    publish(&stack, 0..1_000).await;
    expect(&stack, 1_000, SOON).await;

    stack.pg.stop(Stop::Fast).await;
    publish(&stack, 1_000..2_000).await;
    throughout(outage(), "NATS keeps the messages", async || {
        stack.nats.stream_state("TELEMETRY").await.messages == 2_000
    })
    .await;
    stack.pg.start().await;
    expect(&stack, 2_000, RECOVERY).await;
    assert_unharmed(&stack);
}
