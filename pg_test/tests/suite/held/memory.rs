//! Pipelines whose tables refuse every write leave the others their memory.

use async_nats::jetstream::stream::RetentionPolicy;
use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, throughout};
use serde_json::Value;

use crate::environment::impatient;
use crate::fixtures::{detail_mentions, expect_exactly_once, stream_status_where};

const GENERATOR_SEED: u64 = 10;
const MEGABYTE: i64 = 1 << 20;
/// Messages of each feed; several times as many as the memory holds.
const BACKLOG: u64 = 6_000;
const LATER: u64 = 1_000;

/// The tables that refuse, and with what: a right that is missing, or a server that has run out of
/// something.
const REFUSING: [(Feed, &str); 5] = [
    (Feed::Telemetry, "42501"),
    (Feed::Events, "42501"),
    (Feed::Sweep, "53000"),
    (Feed::Netflow, "53000"),
    (Feed::OtelMetrics, "53000"),
];
const HEALTHY: [Feed; 2] = [Feed::OtelTraces, Feed::Logs];
/// Their messages are lost for good when they are acknowledged too early.
const WORK_QUEUES: [Feed; 2] = [Feed::Telemetry, Feed::Netflow];

/// Makes the table refuse every row.
async fn refuse(stack: &Stack, feed: Feed, sqlstate: &str) {
    let table = feed.table();
    let sql = format!(
        "CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END$$;
         CREATE TRIGGER refuse BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_{table}()"
    );
    stack.pg.execute(&sql).await;
}

async fn accept(stack: &Stack, feed: Feed) {
    let sql = format!("DROP TRIGGER refuse ON {}", feed.table());
    stack.pg.execute(&sql).await;
}

async fn publish(stack: &Stack, feeds: &[Feed], numbers: std::ops::Range<u64>) {
    for &feed in feeds {
        let messages = Generator::new(GENERATOR_SEED).range(feed, numbers.clone());
        stack.nats.publish_messages(messages).await;
    }
}

async fn memory(stack: &Stack) -> Result<i64, String> {
    let status = stack.status().await.map_err(|e| e.to_string())?;
    let bytes = status["memory_bytes"].as_i64();
    bytes.ok_or_else(|| status.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn five_pipelines_that_cannot_write_take_nothing_from_the_other_two() {
    let builder = impatient()
        .without_streams()
        .disabled()
        .setting("sr_event_writer.buffer_memory", "8MB")
        .setting("sr_event_writer.breaker_failures", "1000");
    let stack = builder.start().await;
    for feed in WORK_QUEUES {
        let (stream, subjects) = (feed.stream(), feed.subjects());
        let keep = RetentionPolicy::WorkQueue;
        let nats = &stack.nats;
        nats.create_stream_keeping(&stream, &[&subjects], keep)
            .await;
    }
    stack.create_streams().await;
    for (feed, sqlstate) in REFUSING {
        refuse(&stack, feed, sqlstate).await;
    }
    publish(&stack, &Feed::ALL, 0..BACKLOG).await;
    stack.enable().await;
    for feed in HEALTHY {
        stack.expect_rows(feed, BACKLOG, SOON).await;
    }
    eventually(SOON, "memory is used up", async || {
        let used = memory(&stack).await?;
        match used >= 6 * MEGABYTE {
            true => Ok(()),
            false => Err(format!("{used} bytes")),
        }
    })
    .await;
    publish(&stack, &HEALTHY, BACKLOG..BACKLOG + LATER).await;
    for feed in HEALTHY {
        stack.expect_rows(feed, BACKLOG + LATER, SOON).await;
    }
    for (feed, _) in REFUSING {
        let waits = detail_mentions("waits for memory");
        stream_status_where(&stack, feed, "that it waits for memory", waits).await;
    }
    for feed in HEALTHY {
        let status = stack.stream_status(feed).await.unwrap();
        assert_eq!(status["state"], "running", "{status}");
    }
    let refusing = REFUSING.map(|(feed, _)| feed);
    publish(&stack, &refusing, BACKLOG..BACKLOG + LATER).await;
    for feed in refusing {
        accept(&stack, feed).await;
    }
    expect_exactly_once(&stack, &Feed::ALL, BACKLOG + LATER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_cannot_write_holds_no_more_with_each_try() {
    const FEED: Feed = Feed::Logs;
    /// Three batches of 8 MB, and what one of them may be too large.
    const HELD: i64 = 40 * MEGABYTE;
    let stack = impatient()
        .disabled()
        .setting("sr_event_writer.streams", FEED.name())
        .setting("sr_event_writer.breaker_failures", "1000")
        .start()
        .await;
    refuse(&stack, FEED, "53000").await;
    // They take 100 MB of memory, of 64.
    let body = "x".repeat(100_000);
    let payloads = (0..500).map(|n| format!(r#"{{"span_id":"{n}","body":"{body}"}}"#));
    stack.nats.publish_all("logs.app", payloads).await;
    stack.enable().await;
    let tried = |status: &Value| status["retries_total"].as_i64() >= Some(8);
    stream_status_where(&stack, FEED, "eight failures", tried).await;
    throughout(Duration::from_secs(3), "memory is bounded", async || {
        let used = memory(&stack).await?;
        match used < HELD {
            true => Ok(()),
            false => Err(format!("{} MB", used / MEGABYTE)),
        }
    })
    .await;
    accept(&stack, FEED).await;
    stack.expect_rows(FEED, 500, SOON).await;
    stack.expect_all_acknowledged(FEED).await;
}
