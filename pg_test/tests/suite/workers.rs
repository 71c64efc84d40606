//! Several workers: pipelines are spread evenly, and a blocked worker delays no other.

use std::collections::BTreeMap;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal};

use crate::fixtures::{stream_is, writer_is};

/// While a worker waits for the same lock all the time, a row of another one can only be its own
/// doing. A wait ends after two seconds, so this may take some tries.
const TRIES: u64 = 20;

/// Since when a worker has been waiting for a lock on the telemetry table.
async fn waiting_since(stack: &Stack) -> Option<String> {
    let sql = "SELECT max(l.waitstart)::text FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE a.application_name = 'sr_event_writer' AND NOT l.granted
            AND l.relation = 'timeseries_metrics'::regclass";
    stack.pg.value(sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_table_delays_no_pipeline_of_another_worker() {
    let stack = Stack::builder()
        .setting("sr_event_writer.workers", "2")
        .setting("sr_event_writer.stream_events", "batch_size=1")
        .start()
        .await;
    let other = stack.pg.connect().await;
    other
        .batch_execute("BEGIN; LOCK TABLE timeseries_metrics IN EXCLUSIVE MODE")
        .await
        .expect("lock the table");
    let generator = Generator::new(36);
    // Telemetry is the first worker's, and events are the second's.
    stack
        .nats
        .publish_messages([generator.good(Feed::Telemetry, 0)])
        .await;
    for number in 0..TRIES {
        let before = eventually(SOON, "the first worker waits for the lock", async || {
            waiting_since(&stack)
                .await
                .ok_or_else(|| "it does not".to_owned())
        })
        .await;
        stack
            .nats
            .publish_messages([generator.good(Feed::Events, number)])
            .await;
        stack.expect_rows(Feed::Events, number + 1, SOON).await;
        if waiting_since(&stack).await == Some(before) {
            other.batch_execute("ROLLBACK").await.expect("unlock");
            stack.expect_rows(Feed::Telemetry, 1, SOON).await;
            return;
        }
    }
    panic!("in {TRIES} tries no event was written while the first worker waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_are_spread_evenly() {
    let stack = Stack::builder()
        .setting("sr_event_writer.workers", "3")
        .start()
        .await;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sr_event_writer'";
    eventually_equal(SOON, "workers", 3_i64, async || {
        stack.pg.try_value(sql).await
    })
    .await;
    let mut tables = BTreeMap::<i32, usize>::new();
    for feed in Feed::ALL {
        *tables.entry(writer_of(&stack, feed).await).or_default() += 1;
    }
    let mut shares: Vec<usize> = tables.into_values().collect();
    shares.sort_unstable();
    assert_eq!(shares, [2, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pipeline_moves_no_other_to_another_row_or_worker() {
    let refused = "sr_event_writer.stream_events";
    let names = ["telemetry", "events", "sweep", "netflow"];
    let stack = Stack::builder()
        .setting("sr_event_writer.workers", "2")
        .setting("sr_event_writer.streams", &names.join(", "))
        .setting(refused, "table=events,more")
        .start()
        .await;
    stream_is(&stack, Feed::Events, "misconfigured").await;
    for feed in [Feed::Telemetry, Feed::Sweep, Feed::Netflow] {
        stream_is(&stack, feed, "running").await;
    }
    let sql = "SELECT array_agg(name) FROM sr_event_writer.stream_status";
    assert_eq!(stack.pg.value::<Vec<String>>(sql).await, names);
    writer_is(&stack, "degraded").await;
    let first = writer_of(&stack, Feed::Telemetry).await;
    let second = writer_of(&stack, Feed::Netflow).await;
    assert_ne!(first, second);
    assert_eq!(writer_of(&stack, Feed::Sweep).await, first);

    stack.pg.alter_system(refused, "").await;
    writer_is(&stack, "running").await;
    assert_eq!(writer_of(&stack, Feed::Events).await, second);
    assert_eq!(stack.pg.value::<Vec<String>>(sql).await, names);
}

/// The process that waits to write to a table when it is locked.
async fn writer_of(stack: &Stack, feed: Feed) -> i32 {
    let table = feed.table();
    let other = stack.pg.connect().await;
    let lock = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE");
    other.batch_execute(&lock).await.expect("lock the table");
    stack
        .nats
        .publish_messages([Generator::new(37).good(feed, 0)])
        .await;
    let sql = format!(
        "SELECT max(pid) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass"
    );
    let pid = eventually(SOON, format!("somebody waits for {table}"), async || {
        let pid: Option<i32> = stack.pg.value(&sql).await;
        pid.ok_or_else(|| "nobody".to_owned())
    })
    .await;
    other.batch_execute("ROLLBACK").await.expect("unlock");
    stack.expect_rows(feed, 1, SOON).await;
    pid
}
