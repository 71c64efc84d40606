//! Only the primary consumes, and whoever becomes it goes on exactly where the other one was.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::Postgres;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal, throughout};
use serde_json::Value;

/// Neither has a unique key. The first stream keeps what is acknowledged, the second one does not.
const KEPT: Feed = Feed::Netflow;
const QUEUE: Feed = Feed::Logs;
const REST: Duration = Duration::from_secs(90);

/// A primary that waits for its standby before it acknowledges, with a kept stream and a work queue.
async fn primary(ack_after: &str) -> Stack {
    let stack = Stack::builder()
        .without_streams()
        .setting("sr_event_writer.streams", "netflow,logs")
        .setting("sr_event_writer.ack_after", ack_after)
        .setting("sr_event_writer.retry_max_delay", "2s")
        .start()
        .await;
    stack.create_stream(KEPT).await;
    let queue = Config {
        name: QUEUE.stream(),
        subjects: vec![QUEUE.subjects()],
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    let made = stack.nats.jetstream().await.create_stream(queue).await;
    made.expect("make the work queue");
    stack
}

/// A standby that streams, and from now on is waited for.
async fn synchronous_standby(primary: &Postgres, name: &str) -> Postgres {
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

async fn publish(stack: &Stack, numbers: std::ops::Range<u64>) {
    let generator = Generator::new(60);
    for start in numbers.clone().step_by(1_000) {
        let part = start..numbers.end.min(start + 1_000);
        for feed in [KEPT, QUEUE] {
            let messages = generator.range(feed, part.clone());
            stack.nats.publish_surely(messages).await;
        }
    }
}

async fn rows_beyond(pg: &Postgres, known: i64, within: Duration) {
    let sql = format!("SELECT count(*) FROM {}", KEPT.table());
    eventually(within, format_args!("more rows than {known}"), async || {
        match pg.try_value::<i64>(&sql).await {
            Ok(rows) if rows > known => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
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
    for feed in [KEPT, QUEUE] {
        stack.expect_rows(feed, total, REST).await;
        stack.expect_all_acknowledged(feed).await;
        assert_eq!(stack.dead_letters(feed).await.unwrap(), 0);
    }
    let left = stack.nats.stream_state(&QUEUE.stream()).await.messages;
    assert_eq!(left, 0, "the work queue is empty");

    // The old primary comes back as a standby, and leaves the consumers alone.
    old.rejoin(&stack.pg, "former").await;
    old.start().await;
    publish(&stack, total..total + 1_000).await;
    for feed in [KEPT, QUEUE] {
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
