//! Acknowledgements wait for a synchronous standby: rows are visible meanwhile, no message that the
//! standby lacks is acknowledged, and the status gives the reason.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::{Postgres, Stop};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually_equal, throughout};
use serde_json::Value;

use crate::environment::restart_worker;
use crate::fixtures::{detail_mentions, expect_exactly_once, stream_is, stream_status_where};
use crate::standby::{
    FEEDS, INTEREST, QUEUE, REST, assert_nothing_is_left, primary, publish, synchronous_standby,
};

/// Number of messages of the feed in NATS that are not acknowledged.
async fn unacknowledged(stack: &Stack, feed: Feed) -> Result<u64, String> {
    let info = stack
        .nats
        .consumer(&feed.stream(), &feed.consumer())
        .await?;
    let stored = stack.nats.stream_state(&feed.stream()).await.last_sequence;
    Ok(stored - info.ack_floor.stream_sequence)
}

/// The streams that drop what is acknowledged.
const DROPPING: [Feed; 2] = [QUEUE, INTEREST];

async fn expect_held(stack: &Stack, words: &str, count: u64) {
    // Rows are there and visible, and everybody may read them.
    let rows = count.cast_signed();
    for feed in FEEDS {
        eventually_equal(SOON, "rows", rows, async || stack.rows(feed).await).await;
    }
    for feed in DROPPING {
        let status = stream_status_where(stack, feed, words, detail_mentions(words)).await;
        assert_eq!(status["state"], "degraded", "{status}");
    }
}

async fn expect_released(stack: &Stack, count: u64) {
    expect_exactly_once(stack, &FEEDS, count).await;
    for feed in FEEDS {
        stream_is(stack, feed, "running").await;
    }
    assert_nothing_is_left(stack).await;
}

/// A primary whose synchronous standby has gone: of a thousand messages it has half, and the
/// acknowledgements of the other half are held.
async fn without_its_standby() -> (Stack, Postgres) {
    let stack = primary("replicated").await;
    let standby = synchronous_standby(&stack.pg, "heir").await;
    publish(&stack, 0..500).await;
    expect_exactly_once(&stack, &FEEDS, 500).await;

    standby.stop(Stop::Fast).await;
    publish(&stack, 500..1_000).await;
    expect_held(&stack, "wait for a synchronous standby to have them", 1_000).await;
    (stack, standby)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_held_and_say_so_while_the_synchronous_standby_is_away() {
    let (stack, standby) = without_its_standby().await;
    for feed in DROPPING {
        let second = Duration::from_secs(1);
        throughout(second, "nothing is acknowledged", async || {
            unacknowledged(&stack, feed).await.is_ok_and(|n| n == 500)
        })
        .await;
        let known = |status: &Value| status["ack_pending"] == 500;
        stream_status_where(&stack, feed, "how many wait", known).await;
    }
    // With the worker its acknowledgements are gone, though not the messages: they come again.
    restart_worker(&stack).await;
    for feed in DROPPING {
        let words = "wait for a synchronous standby";
        stream_status_where(&stack, feed, words, detail_mentions(words)).await;
        assert_eq!(unacknowledged(&stack, feed).await, Ok(500));
    }
    standby.start().await;
    expect_released(&stack, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_wait_until_the_standby_shows_the_rows_where_that_is_asked_for() {
    let stack = primary("applied").await;
    let standby = synchronous_standby(&stack.pg, "heir").await;
    standby.execute("SELECT pg_wal_replay_pause()").await;
    publish(&stack, 0..500).await;
    expect_held(&stack, "wait for a synchronous standby to apply", 500).await;
    assert_eq!(unacknowledged(&stack, QUEUE).await.unwrap(), 500);
    standby.execute("SELECT pg_wal_replay_resume()").await;
    expect_released(&stack, 500).await;
    let rows = "SELECT count(*) FROM logs";
    assert_eq!(standby.value::<i64>(rows).await, 500);
}

/// A new session sets its consumer to the position in the database, which is ahead of what may be
/// acknowledged. A work queue must not take that as an acknowledgement.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_lost_primary_had_is_read_again_although_sessions_had_started_over() {
    let (mut stack, standby) = without_its_standby().await;

    stack.nats.restart().await;
    publish(&stack, 1_000..1_100).await;
    expect_held(&stack, "wait for a synchronous standby to have them", 1_100).await;
    let reload = "sr_event_writer.batch_size";
    stack.pg.alter_system(reload, "77").await;
    publish(&stack, 1_100..1_200).await;
    expect_held(&stack, "wait for a synchronous standby to have them", 1_200).await;

    stack.pg.kill_all().await;
    standby.start().await;
    standby.promote().await;
    stack.pg = standby;
    publish(&stack, 1_200..1_300).await;
    expect_released(&stack, 1_300).await;
}

/// NATS lets 65536 messages be on their way without an acknowledgement.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_standby_a_pipeline_reads_so_far_and_no_further() {
    let stack = primary("replicated").await;
    let standby = synchronous_standby(&stack.pg, "heir").await;
    standby.stop(Stop::Fast).await;
    let (most, total) = (65_536, 70_000);
    let messages = Generator::new(61).range(QUEUE, 0..total);
    stack.nats.publish_messages(messages).await;
    eventually_equal(REST, "rows", most, async || stack.rows(QUEUE).await).await;
    let second = Duration::from_secs(1);
    throughout(second, "no further row is written", async || {
        stack.rows(QUEUE).await.unwrap() == most
    })
    .await;
    standby.start().await;
    expect_exactly_once(&stack, &[QUEUE], total).await;
}
