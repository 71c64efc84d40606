//! The circuit breaker: after consecutive failures nothing is tried for a while, then a single
//! message.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, throughout};
use serde_json::Value;

use crate::fixtures::{expect_exactly_once, rows_are_added, stream_is, under_load};

const FEED: Feed = Feed::Events;

async fn breaker(stack: &Stack) -> Result<Value, String> {
    let status = stack.status().await.map_err(|e| e.to_string())?;
    Ok(status["breaker"].clone())
}

async fn breaker_is(stack: &Stack, state: &str) -> i64 {
    let what = format!("the breaker is {state}");
    eventually(SOON, what, async || {
        let breaker = breaker(stack).await?;
        match breaker["state"] == state {
            true => Ok(breaker["failures"].as_i64().expect("a number")),
            false => Err(breaker.to_string()),
        }
    })
    .await
}

async fn retries(stack: &Stack) -> i64 {
    let status = stack.stream_status(FEED).await.unwrap();
    status["retries_total"].as_i64().expect("a number")
}

/// Makes the table fail like a server that has run out of a resource, or stops that.
async fn sick(stack: &Stack, sick: bool) {
    let body = match sick {
        true => "RAISE EXCEPTION 'out of everything' USING ERRCODE = '53000';",
        false => "",
    };
    let sql = format!(
        "CREATE OR REPLACE FUNCTION sick() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN {body} RETURN NEW; END$$;
         CREATE OR REPLACE TRIGGER sick BEFORE INSERT ON events
            FOR EACH ROW EXECUTE FUNCTION sick()"
    );
    stack.pg.execute(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_opens_after_failures_in_a_row_and_one_message_closes_it() {
    let stack = Stack::builder()
        .without_keys()
        .setting("sr_event_writer.retry_min_delay", "50ms")
        .setting("sr_event_writer.retry_max_delay", "200ms")
        .setting("sr_event_writer.breaker_failures", "4")
        .setting("sr_event_writer.breaker_reset", "8s")
        .postgres(|options| options.preload += ",auto_explain")
        .setting("auto_explain.log_min_duration", "0")
        .start()
        .await;
    sick(&stack, true).await;
    assert_eq!(breaker_is(&stack, "closed").await, 0);
    let messages = Generator::new(0).range(FEED, 0..500);
    stack.nats.publish_messages(messages).await;

    assert_eq!(breaker_is(&stack, "open").await, 4);
    assert_eq!(stack.status().await.unwrap()["state"], "degraded");
    let known = retries(&stack).await;
    throughout(Duration::from_secs(2), "nothing is tried", async || {
        retries(&stack).await == known
    })
    .await;
    assert!(!stack.pg.log_contains("Query Text: SELECT 1\n"));
    // The probe fails, and the breaker stays open for as long again.
    eventually(SOON, "a probe fails", async || {
        retries(&stack).await > known
    })
    .await;
    assert_eq!(breaker_is(&stack, "open").await, 5);
    assert_eq!(retries(&stack).await, known + 1);
    assert!(stack.pg.log_contains("Query Text: SELECT 1\n"));

    // While its pipeline is paused nothing can be tried, and half open it stays.
    stack
        .pg
        .execute("SELECT sr_event_writer_pause('events')")
        .await;
    breaker_is(&stack, "half-open").await;
    sick(&stack, false).await;
    stack
        .pg
        .execute("SELECT sr_event_writer_resume('events')")
        .await;
    assert_eq!(breaker_is(&stack, "closed").await, 0);
    expect_exactly_once(&stack, &[FEED], 500).await;
    let sql = "SELECT count(*) FROM events GROUP BY xmin ORDER BY xmin::text::int8 LIMIT 1";
    assert_eq!(stack.pg.value::<i64>(sql).await, 1, "row of the probe");
    let status = stack.stream_status(FEED).await.unwrap();
    assert!(
        status["last_error"].as_str().unwrap().contains("53000"),
        "{status}"
    );
    // The probe's message was of a batch whose others came later.
    assert_eq!(status["duplicates_skipped_total"], 0, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_fit_opens_no_breaker() {
    let stack = Stack::builder()
        .without_keys()
        .setting("sr_event_writer.breaker_failures", "1")
        .start()
        .await;
    let feeds = [FEED, Feed::Logs];
    let fault = async {
        rows_are_added(&stack, FEED, SOON).await;
        stack.pg.execute("ALTER TABLE events RENAME TO away").await;
        stream_is(&stack, FEED, "paused").await;
        let span = Duration::from_secs(5);
        throughout(span, "the breaker is closed", async || {
            breaker(&stack).await.unwrap()["state"] == "closed"
        })
        .await;
        rows_are_added(&stack, Feed::Logs, SOON).await;
        stack.pg.execute("ALTER TABLE away RENAME TO events").await;
        rows_are_added(&stack, FEED, SOON).await;
    };
    let (count, ()) = under_load(&stack, &feeds, 0, fault).await;
    expect_exactly_once(&stack, &feeds, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_fails_for_good_opens_the_breaker_for_no_other_pipeline() {
    let stack = Stack::builder()
        .without_keys()
        .setting("sr_event_writer.retry_min_delay", "50ms")
        .setting("sr_event_writer.retry_max_delay", "200ms")
        .setting("sr_event_writer.breaker_failures", "3")
        .setting("sr_event_writer.breaker_reset", "5min")
        .start()
        .await;
    sick(&stack, true).await;
    let generator = Generator::new(0);
    stack
        .nats
        .publish_messages(generator.range(FEED, 0..100))
        .await;
    breaker_is(&stack, "open").await;
    // Meanwhile the others were quiet, so nothing has closed it.
    let messages = generator.range(Feed::Logs, 0..500);
    stack.nats.publish_messages(messages).await;
    stack.expect_rows(Feed::Logs, 500, SOON).await;
    // A healthy server says nothing about this table.
    breaker_is(&stack, "open").await;
    let more = generator.range(Feed::Logs, 500..1_000);
    stack.nats.publish_messages(more).await;
    stack.expect_rows(Feed::Logs, 1_000, SOON).await;
    sick(&stack, false).await;
    stack
        .nats
        .publish_messages(generator.range(Feed::Netflow, 0..1))
        .await;
    expect_exactly_once(&stack, &[FEED], 100).await;
}
