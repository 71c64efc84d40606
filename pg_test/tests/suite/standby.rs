//! Only the primary consumes, and a promoted standby continues exactly where the old primary was.

mod acks;
mod restore;
mod wait;

use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::{Postgres, Stop};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal, throughout};
use serde_json::Value;

use crate::fixtures::expect_exactly_once;

/// Their tables have no unique keys. The first stream keeps what is acknowledged, the others do
/// not.
pub const KEPT: Feed = Feed::Netflow;
pub const QUEUE: Feed = Feed::Logs;
pub const INTEREST: Feed = Feed::Telemetry;
pub const FEEDS: [Feed; 3] = [KEPT, QUEUE, INTEREST];
pub const REST: Duration = Duration::from_secs(90);

/// A primary that acknowledges as late as it is told, with a stream of each kind.
pub async fn primary(ack_after: &str) -> Stack {
    let stack = Stack::builder()
        .without_streams()
        .without_keys()
        .setting("sr_event_writer.streams", "netflow,logs,telemetry")
        .setting("sr_event_writer.ack_after", ack_after)
        .setting("sr_event_writer.retry_max_delay", "2s")
        .start()
        .await;
    stack.create_stream(KEPT).await;
    for (feed, retention) in [
        (QUEUE, RetentionPolicy::WorkQueue),
        (INTEREST, RetentionPolicy::Interest),
    ] {
        let config = Config {
            name: feed.stream(),
            subjects: vec![feed.subjects()],
            retention,
            ..Config::default()
        };
        let made = stack.nats.jetstream().await.create_stream(config).await;
        made.unwrap_or_else(|error| panic!("make {}: {error}", feed.stream()));
    }
    // It takes no message that no consumer is interested in.
    eventually(SOON, "the consumers", async || {
        for feed in FEEDS {
            stack
                .nats
                .consumer(&feed.stream(), &feed.consumer())
                .await?;
        }
        Ok::<_, String>(())
    })
    .await;
    stack
}

/// Asserts that streams that drop acknowledged messages have dropped them.
pub async fn assert_nothing_is_left(stack: &Stack) {
    for feed in [QUEUE, INTEREST] {
        let left = stack.nats.stream_state(&feed.stream()).await.messages;
        assert_eq!(left, 0, "messages left in {}", feed.stream());
    }
}

/// A standby that streams, and from now on is waited for.
pub async fn synchronous_standby(primary: &Postgres, name: &str) -> Postgres {
    let standby = primary.create_standby(name).await;
    standby.start().await;
    primary
        .alter_system("synchronous_standby_names", name)
        .await;
    let sql = "SELECT string_agg(application_name || ' ' || sync_state, ', ')
        FROM pg_stat_replication";
    let expected = Some(format!("{name} sync"));
    eventually(SOON, "the standby is synchronous", async || {
        match primary.try_value::<Option<String>>(sql).await {
            Ok(seen) if seen == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    standby
}

async fn assert_stands_by(standby: &Postgres) {
    assert!(standby.is_in_recovery().await);
    let status: Value = standby.value("SELECT sr_event_writer_status()").await;
    assert_eq!(status["state"], "standby", "{status}");
    assert_eq!(standby.try_worker_pid().await.unwrap(), None);
    let streams = "SELECT count(*) FROM sr_event_writer.stream_status";
    standby.value::<i64>(streams).await;
}

pub async fn publish(stack: &Stack, numbers: std::ops::Range<u64>) {
    let generator = Generator::new(60);
    for start in numbers.clone().step_by(1_000) {
        let part = start..numbers.end.min(start + 1_000);
        for feed in FEEDS {
            let messages = generator.range(feed, part.clone());
            stack.nats.publish_until_stored(messages).await;
        }
    }
}

async fn rows_beyond(pg: &Postgres, known: i64, within: Duration) {
    let sql = format!("SELECT count(*) FROM {}", KEPT.table());
    eventually(
        within,
        format_args!("more rows than {known}"),
        async || match pg.try_value::<i64>(&sql).await {
            Ok(rows) if rows > known => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_takes_over_within_ten_seconds_and_exactly_once() {
    let mut stack = primary("replicated").await;
    let total = 40_000;
    let fail_over = async {
        rows_beyond(&stack.pg, 0, SOON).await;
        let heir = synchronous_standby(&stack.pg, "heir").await;
        assert_stands_by(&heir).await;
        let before: i64 = stack.pg.value("SELECT count(*) FROM netflow_metrics").await;
        rows_beyond(&stack.pg, before, SOON).await;

        stack.pg.kill_all().await;
        heir.promote().await;
        let known: i64 = heir.value("SELECT count(*) FROM netflow_metrics").await;
        rows_beyond(&heir, known, Duration::from_secs(10)).await;
        heir
    };
    let (heir, ()) = tokio::join!(fail_over, publish(&stack, 0..total));
    let old = std::mem::replace(&mut stack.pg, heir);
    for feed in FEEDS {
        stack.expect_rows(feed, total, REST).await;
        stack.expect_all_acknowledged(feed).await;
        assert_eq!(stack.dead_letters(feed).await.unwrap(), 0);
    }
    assert_nothing_is_left(&stack).await;

    // The old primary comes back as a standby, and leaves the consumers alone.
    old.rejoin(&stack.pg, "former").await;
    old.start().await;
    publish(&stack, total..total + 1_000).await;
    for feed in FEEDS {
        stack.expect_rows(feed, total + 1_000, SOON).await;
    }
    let rows = "SELECT count(*) FROM netflow_metrics";
    let all = (total + 1_000).cast_signed();
    eventually_equal(SOON, "rows on the old primary", all, async || {
        old.try_value::<i64>(rows).await
    })
    .await;
    let second = Duration::from_secs(1);
    throughout(second, "there is no worker on the standby", async || {
        old.try_worker_pid().await.unwrap().is_none()
    })
    .await;
    assert_stands_by(&old).await;
}

/// A standby that nobody waits for lacks what was written last. NATS has it still, or it is a gap.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_asynchronous_standby_lacks_is_read_again_or_recorded_as_gone() {
    let mut stack = primary("flush").await;
    let standby = stack.pg.create_standby("late").await;
    standby.start().await;
    publish(&stack, 0..500).await;
    expect_exactly_once(&stack, &FEEDS, 500).await;
    let rows = "SELECT count(*) FROM logs";
    eventually_equal(SOON, "rows on the standby", 500, async || {
        standby.try_value::<i64>(rows).await
    })
    .await;
    standby.stop(Stop::Fast).await;
    publish(&stack, 500..800).await;
    expect_exactly_once(&stack, &FEEDS, 800).await;

    stack.pg.kill_all().await;
    standby.start().await;
    standby.promote().await;
    stack.pg = standby;
    publish(&stack, 800..900).await;
    stack.expect_rows(KEPT, 900, SOON).await;
    // The others had let go of what was acknowledged.
    for feed in [QUEUE, INTEREST] {
        stack.expect_rows(feed, 600, SOON).await;
        let sql = "SELECT first_sequence, last_sequence FROM sr_event_writer.stream_gap
            WHERE pipeline = $1";
        let gap = stack.pg.query_one(sql, &[&feed.name()]).await;
        assert_eq!((gap.get(0), gap.get(1)), (501_i64, 800_i64), "{feed:?}");
    }
    assert_nothing_is_left(&stack).await;
}
