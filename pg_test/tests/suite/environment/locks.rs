//! One table is locked or slow: its pipeline waits and tries again with fewer messages, and the
//! others go on.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};

use crate::environment::impatient;
use crate::fixtures::{
    assert_unharmed, detail_mentions, expect_exactly_once, rows_are_added, stream_status_where,
    under_load,
};

/// Longest delay of the others while one table is locked; far below `insert_timeout`, which is 30
/// seconds.
const NOT_HELD_UP: Duration = Duration::from_secs(12);

async fn breaker(stack: &Stack) -> serde_json::Value {
    stack.status().await.expect("the status")["breaker"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_lock_on_one_table_holds_up_no_other_pipeline() {
    let stack = impatient().start().await;
    let fault = async {
        rows_are_added(&stack, Feed::Telemetry, SOON).await;
        let other = stack.pg.connect().await;
        other
            .batch_execute("BEGIN; LOCK TABLE timeseries_metrics IN EXCLUSIVE MODE")
            .await
            .unwrap();
        let locked = detail_mentions("55P03");
        stream_status_where(&stack, Feed::Telemetry, "that the lock is taken", locked).await;
        for feed in &Feed::ALL[1..] {
            rows_are_added(&stack, *feed, NOT_HELD_UP).await;
        }
        assert_eq!(breaker(&stack).await["state"], "closed");
        other.batch_execute("ROLLBACK").await.unwrap();
        rows_are_added(&stack, Feed::Telemetry, SOON).await;
    };
    let (count, ()) = under_load(&stack, &Feed::ALL, 0, fault).await;
    expect_exactly_once(&stack, &Feed::ALL, count).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_takes_too_long_is_tried_again_with_half_of_it() {
    let stack = impatient()
        .disabled()
        .setting("sr_event_writer.insert_timeout", "1s")
        .start()
        .await;
    // 600 rows take three seconds, and up to 200 are in time.
    stack
        .pg
        .execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END$$;
             CREATE TRIGGER slow BEFORE INSERT ON logs FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await;
    let count = 600;
    stack
        .nats
        .publish_messages(Generator::new(0).range(Feed::Logs, 0..count))
        .await;
    stack.enable().await;
    expect_exactly_once(&stack, &[Feed::Logs], count).await;

    let sql = "SELECT max(n) FROM (SELECT count(*) AS n FROM logs GROUP BY xmin)";
    let largest: i64 = stack.pg.value(sql).await;
    assert!((1..=200).contains(&largest), "{largest} rows at once");
    let status = stack.stream_status(Feed::Logs).await.unwrap();
    // 600 and 300 are too many, and after each success twice as many are tried again.
    let (retries, batches) = (&status["retries_total"], &status["batches_total"]);
    let (retries, batches) = (retries.as_i64().unwrap(), batches.as_i64().unwrap());
    assert!(retries >= 2 && retries <= 2 + batches, "{status}");
    let error = status["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("57014"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_written_in_parts_counts_none_of_its_messages_as_a_duplicate() {
    let count = 400;
    let stack = impatient()
        .disabled()
        .setting("sr_event_writer.stream_logs", "batch_size=400")
        .start()
        .await;
    let other = stack.pg.connect().await;
    let lock = "BEGIN; LOCK TABLE logs IN EXCLUSIVE MODE";
    other.batch_execute(lock).await.unwrap();
    stack
        .nats
        .publish_messages(Generator::new(0).range(Feed::Logs, 0..count))
        .await;
    stack.enable().await;
    // After two time-outs a quarter of the batch is tried, and after each success twice as many.
    let twice = |status: &serde_json::Value| status["retries_total"].as_i64() >= Some(2);
    stream_status_where(&stack, Feed::Logs, "two retries", twice).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    expect_exactly_once(&stack, &[Feed::Logs], count).await;

    let sql = "SELECT count(*), max(n) FROM (SELECT count(*) AS n FROM logs GROUP BY xmin) parts";
    let row = stack.pg.query_one(sql, &[]).await;
    let (parts, largest): (i64, i64) = (row.get(0), row.get(1));
    assert!(
        parts > 1 && largest < count as i64,
        "{parts} parts, {largest} rows at once"
    );
    let all = |status: &serde_json::Value| status["messages_total"] == count;
    let status = stream_status_where(&stack, Feed::Logs, "all messages", all).await;
    assert_eq!(status["duplicates_skipped_total"], 0, "{status}");
}
