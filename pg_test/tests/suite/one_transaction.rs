//! Rows and position commit together, or not at all.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::throughout;

use crate::fixtures::{detail_mentions, expect_exactly_once, stream_status_where};

/// It has no unique key: a message that is written twice is two rows.
const FEED: Feed = Feed::Netflow;

/// Longer than the two seconds that a lock is waited for.
const LOCKED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_seen_while_the_position_cannot_be_written() {
    let stack = Stack::builder()
        .setting("sr_event_writer.retry_max_delay", "1s")
        .start()
        .await;
    let generator = Generator::new(64);
    stack
        .nats
        .publish_messages(generator.range(FEED, 0..1))
        .await;
    stack.expect_rows(FEED, 1, SOON).await;
    let other = stack.pg.connect().await;
    other
        .batch_execute(
            "BEGIN; SELECT FROM sr_event_writer.stream_position WHERE pipeline = 'netflow' FOR UPDATE",
        )
        .await
        .expect("lock the row");
    stack
        .nats
        .publish_messages(generator.range(FEED, 1..51))
        .await;
    // It came as far as the position, and not beyond.
    let locked = detail_mentions("55P03");
    stream_status_where(&stack, FEED, "that the row is locked", locked).await;
    throughout(LOCKED, "no row is seen", async || {
        match stack.rows(FEED).await {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    other.batch_execute("ROLLBACK").await.expect("unlock");
    expect_exactly_once(&stack, &[FEED], 51).await;
}
