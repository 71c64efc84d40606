//! Every figure of the status is seen above zero, with the right value.

use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::feed::Feed;
use pg_test::messages::{Defect, Generator};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;
use serde_json::Value;

use crate::fixtures::{self, publish, stream_status_where};
use crate::nats_taken_over::reset;

const FEED: Feed = Feed::Netflow;

/// A work queue: only there a message comes again before its consumer is created again.
async fn work_queue() -> Stack {
    let stack = Stack::builder()
        .without_streams()
        .setting("sr_event_writer.streams", FEED.name())
        .setting("sr_event_writer.retry_max_delay", "1s")
        .start()
        .await;
    stack
        .create_stream_keeping(FEED, RetentionPolicy::WorkQueue)
        .await;
    stack
}

/// Says in the worker's place that a message is not wanted now: the server sends it again at once.
async fn send_again(stack: &Stack, sequence: u64) {
    let (stream, consumer) = (FEED.stream(), FEED.consumer());
    let reply = format!("$JS.ACK.{stream}.{consumer}.1.{sequence}.{sequence}.0.0");
    let client = stack.nats.client().await;
    client.publish(reply, "-NAK".into()).await.expect("a NAK");
    client.flush().await.expect("a NAK that is on its way");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_what_comes_again_is_counted_message_by_message() {
    let stack = work_queue().await;
    publish(&stack, FEED, 0..5).await;
    stack.expect_rows(FEED, 5, SOON).await;
    stack.expect_all_acknowledged(FEED).await;
    let other = stack.pg.connect().await;
    let lock = format!("BEGIN; LOCK TABLE {} IN EXCLUSIVE MODE", FEED.table());
    other.batch_execute(&lock).await.expect("lock the table");
    publish(&stack, FEED, 5..15).await;

    let waits = |status: &Value| {
        status["pending"] == 10
            && status["last_error_at"].is_string()
            && status["ack_pending"] == 10
    };
    let status = stream_status_where(&stack, FEED, "what waits", waits).await;
    assert!(status["lag_seconds"].as_f64() > Some(0.0), "{status}");
    assert!(status["retries_total"].as_u64() > Some(0), "{status}");
    let error = status["last_error"].as_str().expect("an error");
    assert!(error.contains("55P03"), "{status}");
    let recent = format!(
        "SELECT now() - '{}'::timestamptz BETWEEN '0' AND '1 min'",
        status["last_error_at"].as_str().expect("a time")
    );
    assert!(stack.pg.value::<bool>(&recent).await, "{status}");
    let memory = stack.status().await.expect("a status")["memory_bytes"].as_u64();
    assert!(memory > Some(0), "{memory:?} bytes of ten messages");

    for sequence in 6..=8 {
        send_again(&stack, sequence).await;
    }
    let again = |status: &Value| status["redelivered_total"] == 3;
    stream_status_where(&stack, FEED, "three redeliveries", again).await;
    other.batch_execute("ROLLBACK").await.expect("unlock");
    fixtures::expect_exactly_once(&stack, &[FEED], 15).await;
    let done = |status: &Value| status["pending"] == 0 && status["ack_pending"] == 0;
    let status = stream_status_where(&stack, FEED, "that nothing waits", done).await;
    assert_eq!(status["redelivered_total"], 3, "{status}");
    assert_eq!(status["duplicates_skipped_total"], 3, "{status}");
    assert_eq!(status["messages_total"], 15, "{status}");
    assert_eq!(status["lag_seconds"], 0.0, "{status}");
    eventually(SOON, "no memory is in use", async || {
        stack.status().await.expect("a status")["memory_bytes"] == 0
    })
    .await;
}

/// Where nothing is acknowledged, a message comes again when somebody sets the consumer back.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_that_was_set_back_brings_again_is_counted_and_not_written() {
    let stack = Stack::builder()
        .setting("sr_event_writer.streams", FEED.name())
        .start()
        .await;
    publish(&stack, FEED, 0..20).await;
    stack.expect_rows(FEED, 20, SOON).await;
    reset(&stack.nats, 11).await;
    let again = |status: &Value| status["duplicates_skipped_total"] == 10;
    stream_status_where(&stack, FEED, "ten duplicates", again).await;
    publish(&stack, FEED, 20..30).await;
    fixtures::expect_exactly_once(&stack, &[FEED], 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_and_are_messages_but_no_rows() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..6).await;
    let broken = Defect::ALL.map(|defect| Generator::new(62).broken(FEED, 7, defect));
    stack.nats.publish_messages(broken).await;
    let all = |status: &Value| status["messages_total"] == 10;
    let status = stream_status_where(&stack, FEED, "all messages", all).await;
    assert_eq!(status["dead_letters_total"], 4, "{status}");
    assert_eq!(status["rows_total"], 6, "{status}");
    assert_eq!(stack.dead_letters(FEED).await.expect("letters"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_workers_the_worst_is_shown() {
    let stack = Stack::builder()
        .without_streams()
        .setting("sr_event_writer.workers", "2")
        .setting("sr_event_writer.streams", "netflow, events")
        .setting("sr_event_writer.retry_max_delay", "1s")
        .start()
        .await;
    stack.create_stream(Feed::Netflow).await;
    let at_work = |status: &Value| status["state"] == "running";
    stream_status_where(&stack, Feed::Netflow, "at work", at_work).await;
    fixtures::writer_is(&stack, "degraded").await;
    // The other way round, too: which worker it is does not matter.
    stack.create_stream(Feed::Events).await;
    fixtures::writer_is(&stack, "running").await;
    stack.nats.delete_stream(&Feed::Netflow.stream()).await;
    stream_status_where(&stack, Feed::Events, "at work", at_work).await;
    fixtures::writer_is(&stack, "degraded").await;
}

/// Lines of the server log that begin like this, after the prefix.
fn log_lines(stack: &Stack, text: &str) -> usize {
    let log = stack.pg.log();
    log.lines().filter(|line| line.contains(text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_without_a_processor_stops_only_itself_until_a_reload() {
    let stack = Stack::builder()
        .without_keys()
        .setting("sr_event_writer.streams", "flows, netflow")
        .start()
        .await;
    let refused = |status: &Value| status["state"] == "misconfigured";
    let status = fixtures::pipeline_status_where(&stack, "flows", "misconfigured", refused).await;
    let detail = status["detail"].as_str().expect("a reason");
    assert!(detail.contains("must give its processor"), "{status}");
    for unknown in ["processor", "table", "nats_stream", "consumer", "pending"] {
        assert!(status[unknown].is_null(), "{unknown} of {status}");
    }
    fixtures::writer_is(&stack, "degraded").await;
    let status = stack.status().await.expect("a status");
    let reason = status["reason"].as_str().expect("a reason");
    assert!(reason.contains("flows"), "{status}");
    assert_eq!(status["streams"][0]["state"], "misconfigured", "{status}");
    assert_eq!(status["streams"][0]["detail"], detail, "{status}");

    publish(&stack, FEED, 0..5).await;
    publish(&stack, Feed::Logs, 0..20).await;
    stack.expect_rows(FEED, 5, SOON).await;
    stream_status_where(&stack, FEED, "at work", |status| {
        status["state"] == "running"
    })
    .await;
    pg_test::wait::throughout(Duration::from_secs(2), "no log is written", async || {
        stack.rows(Feed::Logs).await.expect("rows") == 0
    })
    .await;
    assert_eq!(log_lines(&stack, "stream flows: misconfigured"), 1);
    assert_eq!(log_lines(&stack, "sr_event_writer: degraded: "), 1);

    let options = "processor=Logs subject=logs.>";
    stack
        .pg
        .alter_system("sr_event_writer.stream_flows", options)
        .await;
    fixtures::writer_is(&stack, "running").await;
    stack.expect_rows(Feed::Logs, 20, SOON).await;
    publish(&stack, FEED, 5..10).await;
    stack.expect_rows(FEED, 10, SOON).await;
    stack.expect_rows(Feed::Logs, 20, SOON).await;
}
