//! Acknowledged messages are on disk: a power failure loses none of them.

use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::Postgres;
use pg_test::stack::Stack;
use pg_test::wait::eventually;

/// Netflow has no unique key: a row that comes twice is seen.
const FEED: Feed = Feed::Netflow;
const REST: Duration = Duration::from_secs(120);

/// With a work queue: a stream that keeps everything takes no acknowledgements.
async fn start() -> Stack {
    let stack = Stack::builder().without_streams().start().await;
    stack
        .create_stream_keeping(FEED, RetentionPolicy::WorkQueue)
        .await;
    stack
}

/// Returns the sequence up to which everything is acknowledged.
async fn acknowledged(stack: &Stack) -> u64 {
    let info = stack.nats.consumer(&FEED.stream(), &FEED.consumer()).await;
    info.expect("the consumer").ack_floor.stream_sequence
}

/// Waits until some, but by no means all, of the messages are acknowledged.
async fn some_are_acknowledged(stack: &Stack, beyond: u64) {
    eventually(REST, "acknowledgements while messages flow", async || {
        let info = stack
            .nats
            .consumer(&FEED.stream(), &FEED.consumer())
            .await?;
        match info.ack_floor.stream_sequence {
            floor if floor > beyond => Ok(()),
            floor => Err(format!("{floor}")),
        }
    })
    .await;
}

/// The generator numbers messages from 0, and the stream from 1: those acknowledged up to `floor`
/// that are no rows.
async fn missing(pg: &Postgres, floor: u64) -> i64 {
    let (table, marker) = (FEED.table(), FEED.marker_column());
    let sql = format!(
        "SELECT count(*) FROM generate_series(0, {floor}::int8 - 1) n
         WHERE NOT EXISTS (SELECT FROM {table} WHERE {marker} = n)"
    );
    pg.value(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_failure_nothing_acknowledged_is_missing_and_nothing_comes_twice() {
    let stack = start().await;
    let (part, failures) = (30_000, 3);
    let generator = Generator::new(50);
    for round in 0..failures {
        let start = round * part;
        let fail = async {
            some_are_acknowledged(&stack, start + 1_000).await;
            stack.pg.lose_power().await;
            // Frozen, it gives the restarted server nothing before this has been looked at.
            let floor = acknowledged(&stack).await;
            stack.nats.freeze();
            stack.pg.start().await;
            assert_eq!(
                missing(&stack.pg, floor).await,
                0,
                "of {floor} acknowledged messages"
            );
            stack.nats.unfreeze();
        };
        let messages = generator.range(FEED, start..start + part);
        tokio::join!(stack.nats.publish_until_stored(messages), fail);
    }
    stack.expect_rows(FEED, part * failures, REST).await;
    stack.expect_all_acknowledged(FEED).await;
    assert_eq!(stack.dead_letters(FEED).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_disk_taken_mid_flight_has_all_that_was_acknowledged() {
    let mut stack = start().await;
    let total = 40_000;
    let messages = Generator::new(51).range(FEED, 0..total);
    let copy = async {
        some_are_acknowledged(&stack, 1_000).await;
        let (copy, floor) = stack
            .pg
            .copy_data_mid_flight(async || acknowledged(&stack).await)
            .await;
        // Else two servers would share the consumers.
        stack.disable().await;
        (copy, floor)
    };
    let (_, (copy, floor)) = tokio::join!(stack.nats.publish_until_stored(messages), copy);
    stack.pg.kill_all().await;
    stack.nats.freeze();
    copy.start().await;
    assert_eq!(
        missing(&copy, floor).await,
        0,
        "of {floor} acknowledged messages"
    );
    stack.nats.unfreeze();
    stack.pg = copy;
    // Messages that the original wrote after the copy are acknowledged, and gone from the queue.
    stack.expect_all_acknowledged(FEED).await;
    let sql = format!(
        "SELECT count(*) - count(DISTINCT {}) FROM {}",
        FEED.marker_column(),
        FEED.table()
    );
    assert_eq!(stack.pg.value::<i64>(&sql).await, 0, "rows that came twice");
}
