//! A pipeline whose definition is refused stops alone; settings that contradict each other stop all
//! pipelines.

use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::feed::Feed;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, throughout};
use serde_json::Value;

use crate::fixtures::{
    detail_mentions, expect_exactly_once, gaps, pipeline_status_where, publish, rows_are_added,
    stream_is, stream_status_where, under_load, writer_is,
};

/// The options of pipeline `logs`.
const LOGS: &str = "sr_event_writer.stream_logs";
/// Options that the setting accepts and pipeline `logs` does not: its processor fills one table.
const TWO_TABLES: &str = "table=logs,more";
/// The reason that is given for them.
const REASON: &str = "processor Logs fills: 1, not 2";
/// Times that the pipeline is broken and mended.
const ROUNDS: usize = 3;

/// A stack with pipelines `netflow` and `logs`. Only the latter's stream drops what is
/// acknowledged.
async fn netflow_and_logs() -> Stack {
    let stack = Stack::builder()
        .without_streams()
        .without_keys()
        .setting("sr_event_writer.streams", "netflow, logs")
        .start()
        .await;
    stack.create_stream(Feed::Netflow).await;
    stack
        .create_stream_keeping(Feed::Logs, RetentionPolicy::WorkQueue)
        .await;
    stack
}

async fn rows(stack: &Stack, feed: Feed) -> i64 {
    stack.rows(feed).await.expect("rows")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_stops_just_the_pipeline_that_it_breaks_and_costs_no_message() {
    let stack = netflow_and_logs().await;
    let feeds = [Feed::Netflow, Feed::Logs];
    let break_and_mend = async {
        for _ in 0..ROUNDS {
            rows_are_added(&stack, Feed::Logs, SOON).await;
            stack.pg.alter_system(LOGS, TWO_TABLES).await;
            let status =
                stream_status_where(&stack, Feed::Logs, "the reason", detail_mentions(REASON));
            assert_eq!(status.await["state"], "misconfigured");
            let written = rows(&stack, Feed::Logs).await;
            rows_are_added(&stack, Feed::Netflow, SOON).await;
            writer_is(&stack, "degraded").await;
            throughout(Duration::from_secs(1), "no log is written", async || {
                rows(&stack, Feed::Logs).await == written
            })
            .await;
            stack.pg.alter_system(LOGS, "").await;
        }
        rows_are_added(&stack, Feed::Logs, SOON).await;
        writer_is(&stack, "running").await;
    };
    let (count, ()) = under_load(&stack, &feeds, 0, break_and_mend).await;
    expect_exactly_once(&stack, &feeds, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_refused_pipeline_ends_with_the_reason_unless_the_message_is_recorded() {
    let stack = netflow_and_logs().await;
    publish(&stack, Feed::Logs, 0..5).await;
    stack.expect_rows(Feed::Logs, 5, SOON).await;
    stack.pg.alter_system(LOGS, TWO_TABLES).await;
    stream_is(&stack, Feed::Logs, "misconfigured").await;
    let recorded = "SELECT sr_event_writer_wait('logs', 5)";
    assert!(stack.pg.value::<bool>(recorded).await);
    let failure = stack.pg.refused("SELECT sr_event_writer_wait('logs', 6)");
    let failure = failure.await;
    assert_eq!(failure.sqlstate(), "F0000", "{failure}");
    assert_eq!(failure.message, "pipeline \"logs\" is misconfigured");
    assert!(failure.detail.contains(REASON), "{failure}");
    assert!(failure.detail.contains(LOGS), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pipeline_keeps_requests_until_it_is_mended_and_warns_of_that() {
    let stack = netflow_and_logs().await;
    stack.pg.alter_system(LOGS, TWO_TABLES).await;
    stream_is(&stack, Feed::Logs, "misconfigured").await;
    publish(&stack, Feed::Logs, 0..10).await;
    let warning = "WARNING:  pipeline \"logs\" is misconfigured";
    assert!(!stack.pg.log_contains(warning));
    stack
        .pg
        .execute("SELECT sr_event_writer_pause('logs')")
        .await;
    let warned = |times: usize| {
        let log = stack.pg.log();
        let lines = log.lines().filter(|line| line.contains(warning)).count();
        assert_eq!(lines, times, "{log}");
    };
    warned(1);
    let after = stack.pg.log();
    let after = after.split(warning).nth(1).expect("the warning");
    assert!(after.contains(REASON), "{after}");
    stack
        .pg
        .execute("SELECT sr_event_writer_seek('logs', 6)")
        .await;
    warned(2);
    stack.pg.alter_system(LOGS, "").await;
    stream_is(&stack, Feed::Logs, "paused").await;
    assert_eq!(rows(&stack, Feed::Logs).await, 0);
    stack
        .pg
        .execute("SELECT sr_event_writer_resume('logs')")
        .await;
    stack.expect_rows(Feed::Logs, 5, SOON).await;
    assert_eq!(gaps(&stack).await, [(1, 5)]);
    warned(2);

    // All pipelines means the refused ones, too.
    stack.pg.alter_system(LOGS, TWO_TABLES).await;
    stream_is(&stack, Feed::Logs, "misconfigured").await;
    stack.pg.execute("SELECT sr_event_writer_pause()").await;
    warned(3);
    stack.pg.alter_system(LOGS, "").await;
    stream_is(&stack, Feed::Logs, "paused").await;
}

/// Waits until the pipeline's row shows this state and a reason that mentions these words.
async fn pipeline_is(stack: &Stack, name: &str, state: &str, words: &str) {
    let what = format!("{state}: {words}");
    let mentions = detail_mentions(words);
    let is = |status: &Value| status["state"] == state && mentions(status);
    pipeline_status_where(stack, name, &what, is).await;
}

/// The reason for the state of the writer.
async fn reason(stack: &Stack) -> String {
    let status = stack.status().await.expect("a status");
    status["reason"].as_str().expect("a reason").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_is_misconfigured_only_while_every_pipeline_is() {
    let stack = Stack::builder()
        .without_keys()
        .setting("sr_event_writer.workers", "3")
        .setting("sr_event_writer.streams", "flows, weather")
        .start()
        .await;
    writer_is(&stack, "misconfigured").await;
    let both = reason(&stack).await;
    assert!(both.contains("flows") && both.contains("weather"), "{both}");
    pipeline_is(&stack, "flows", "misconfigured", "stream_flows").await;
    pipeline_is(&stack, "weather", "misconfigured", "stream_weather").await;

    stack.disable().await;
    pipeline_is(&stack, "flows", "misconfigured", "stream_flows").await;
    stack.enable().await;
    writer_is(&stack, "misconfigured").await;

    publish(&stack, Feed::Netflow, 0..5).await;
    let options = "processor=NetFlow subject=netflow.>";
    let flows = "sr_event_writer.stream_flows";
    stack.pg.alter_system(flows, options).await;
    stack.expect_rows(Feed::Netflow, 5, SOON).await;
    writer_is(&stack, "degraded").await;
    let one = reason(&stack).await;
    assert!(!one.contains("flows") && one.contains("weather"), "{one}");
    let options = "processor=Logs subject=logs.>";
    let weather = "sr_event_writer.stream_weather";
    stack.pg.alter_system(weather, options).await;
    writer_is(&stack, "running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_contradict_each_other_stop_all_and_every_row_says_so() {
    let stack = netflow_and_logs().await;
    let feeds = [Feed::Netflow, Feed::Logs];
    for feed in feeds {
        stream_is(&stack, feed, "running").await;
    }
    let prefix = "sr_event_writer.dead_letter_subject";
    stack.pg.alter_system(prefix, "logs.dead").await;
    let words = "dead letters would come back";
    for feed in feeds {
        pipeline_is(&stack, feed.name(), "misconfigured", words).await;
    }
    writer_is(&stack, "misconfigured").await;
    eventually(SOON, "the reason", async || {
        reason(&stack).await.contains(words)
    })
    .await;
    stack.pg.alter_system(prefix, "").await;
    for feed in feeds {
        publish(&stack, feed, 0..5).await;
    }
    expect_exactly_once(&stack, &feeds, 5).await;
    writer_is(&stack, "running").await;
}
