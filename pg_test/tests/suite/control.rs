//! Pause, resume, and the status.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, throughout};
use serde_json::Value;

use crate::fixtures::{publish, stream_is, stream_status_where, writer_is};

/// Longer than any batch waits for more messages.
const A_WHILE: Duration = Duration::from_secs(3);

async fn stays_at(stack: &Stack, feed: Feed, rows: i64) {
    throughout(
        A_WHILE,
        format_args!("{} has {rows} rows", feed.table()),
        async || match stack.rows(feed).await.unwrap() {
            found if found == rows => Ok(()),
            found => Err(format!("{found} rows")),
        },
    )
    .await;
}

async fn paused(stack: &Stack, feed: Feed) {
    stream_is(stack, feed, "paused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_pipeline_waits_and_the_others_go_on() {
    let stack = Stack::start().await;
    stack
        .pg
        .execute("SELECT sr_event_writer_pause('telemetry')")
        .await;
    paused(&stack, Feed::Telemetry).await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    publish(&stack, Feed::Logs, 0..100).await;
    stack.expect_rows(Feed::Logs, 100, SOON).await;
    stays_at(&stack, Feed::Telemetry, 0).await;
    stack
        .pg
        .execute("SELECT sr_event_writer_resume('telemetry')")
        .await;
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_paused_and_resumed_at_once() {
    let stack = Stack::start().await;
    writer_is(&stack, "running").await;
    stack.pg.execute("SELECT sr_event_writer_pause()").await;
    for feed in Feed::ALL {
        paused(&stack, feed).await;
        publish(&stack, feed, 0..20).await;
    }
    writer_is(&stack, "paused").await;
    stays_at(&stack, Feed::Telemetry, 0).await;
    for feed in Feed::ALL {
        assert_eq!(stack.rows(feed).await.unwrap(), 0, "{feed:?}");
    }
    stack.pg.execute("SELECT sr_event_writer_resume()").await;
    for feed in Feed::ALL {
        stack.expect_rows(feed, 20, SOON).await;
    }
    writer_is(&stack, "running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_rolled_back_never_was() {
    let stack = Stack::start().await;
    stack
        .pg
        .execute("BEGIN; SELECT sr_event_writer_pause(); ROLLBACK")
        .await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;

    // Nor does one take effect before it is committed.
    let client = stack.pg.connect().await;
    client
        .batch_execute("BEGIN; SELECT sr_event_writer_pause('telemetry')")
        .await
        .unwrap();
    publish(&stack, Feed::Telemetry, 100..200).await;
    stack.expect_rows(Feed::Telemetry, 200, SOON).await;
    client.batch_execute("COMMIT").await.unwrap();
    paused(&stack, Feed::Telemetry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_survives_a_restart() {
    let stack = Stack::start().await;
    stack
        .pg
        .execute("SELECT sr_event_writer_pause('events')")
        .await;
    stack.pg.restart().await;
    publish(&stack, Feed::Events, 0..50).await;
    publish(&stack, Feed::Logs, 0..50).await;
    stack.expect_rows(Feed::Logs, 50, SOON).await;
    paused(&stack, Feed::Events).await;
    stays_at(&stack, Feed::Events, 0).await;
    stack
        .pg
        .execute("SELECT sr_event_writer_resume('events')")
        .await;
    stack.expect_rows(Feed::Events, 50, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_pipeline_is_refused_with_a_hint() {
    let stack = Stack::builder().disabled().start().await;
    for function in ["pause", "resume"] {
        let sql = format!("SELECT sr_event_writer_{function}('telemetri')");
        let failure = stack.pg.refused(&sql).await;
        assert!(
            ["22023", "42704"].contains(&failure.sqlstate()),
            "{failure}"
        );
        assert!(failure.message.contains("telemetri"), "{failure}");
        assert!(
            failure.hint.contains("telemetry"),
            "the hint lists the pipelines: {failure}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_status_has_a_row_for_each_pipeline_and_counts() {
    let stack = Stack::start().await;
    publish(&stack, Feed::Telemetry, 0..300).await;
    stack.expect_rows(Feed::Telemetry, 300, SOON).await;

    let mut names: Vec<String> = Vec::new();
    for row in stack
        .pg
        .query("SELECT name FROM sr_event_writer.stream_status", &[])
        .await
    {
        names.push(row.get(0));
    }
    assert_eq!(
        names,
        Feed::ALL.map(Feed::name),
        "in the order of sr_event_writer.streams"
    );

    let settled = |status: &Value| status["last_sequence"] == 300 && status["pending"] == 0;
    let status = stream_status_where(&stack, Feed::Telemetry, "all is written", settled).await;
    assert_eq!(status["state"], "running", "{status}");
    assert_eq!(status["nats_stream"], "TELEMETRY", "{status}");
    assert_eq!(status["consumer"], Feed::Telemetry.consumer(), "{status}");
    assert_eq!(status["messages_total"], 300, "{status}");
    assert_eq!(status["rows_total"], 300, "{status}");
    assert_eq!(status["dead_letters_total"], 0, "{status}");
    assert!(
        status["bytes_total"].as_u64().unwrap() > 300 * 100,
        "{status}"
    );
    assert!(status["batches_total"].as_u64().unwrap() >= 1, "{status}");
    assert!(status["last_commit_at"].is_string(), "{status}");
    assert!(status["batch_ms_mean"].as_f64().unwrap() > 0.0, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_how_things_are() {
    let stack = Stack::start().await;
    writer_is(&stack, "running").await;
    let status = stack.status().await.unwrap();
    for key in [
        "version", "state", "since", "reason", "nats", "breaker", "streams",
    ] {
        assert!(
            status.get(key).is_some(),
            "the status has no {key}: {status}"
        );
    }
    assert_eq!(status["nats"]["state"], "connected", "{status}");
    let port = stack.nats.port().to_string();
    assert!(
        status["nats"]["server"].as_str().unwrap().contains(&port),
        "{status}"
    );
    assert_eq!(status["nats"]["reconnects"], 0, "{status}");
    assert_eq!(status["streams"].as_array().unwrap().len(), 7, "{status}");

    stack.nats.restart().await;
    eventually(SOON * 2, "the reconnect is counted", async || {
        let status = stack
            .status()
            .await
            .map_err(|failure| failure.to_string())?;
        let counted = status["nats"]["reconnects"]
            .as_u64()
            .is_some_and(|n| n >= 1);
        if counted && status["nats"]["state"] == "connected" {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_can_be_read_in_a_read_only_transaction() {
    let stack = Stack::builder().disabled().start().await;
    stack
        .pg
        .execute(
            "BEGIN READ ONLY; SELECT sr_event_writer_status();
             SELECT * FROM sr_event_writer.stream_status; COMMIT",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_object_of_a_pipeline_has_the_columns_of_the_view() {
    let stack = Stack::start().await;
    writer_is(&stack, "running").await;
    let columns: Vec<String> = stack
        .pg
        .value(
            "SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
             WHERE attrelid = 'sr_event_writer.stream_status'::regclass AND attnum > 0",
        )
        .await;
    let status = stack.status().await.unwrap();
    let mut keys: Vec<&String> = status["streams"][0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, columns.iter().collect::<Vec<_>>());
}
