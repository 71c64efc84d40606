//! After a long fault a pipeline catches up by itself, at full speed.

use std::time::{Duration, Instant};

use pg_test::feed::Feed;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::environment::impatient;
use crate::fixtures::{number, publish, stream_status_where};

const FEED: Feed = Feed::Telemetry;
/// Other work on the machine may fall into one measurement and not into the other.
const ROUNDS: usize = 3;
const HALF: f64 = 0.5;

/// Waits until so many messages in all are rows.
async fn written(stack: &Stack, count: u64) -> Instant {
    let what = format!("{count} messages are written");
    eventually(Duration::from_secs(120), what, async || {
        let status = stack.stream_status(FEED).await.map_err(|e| e.to_string())?;
        match status["messages_total"].as_u64() {
            Some(done) if done >= count => Ok(Instant::now()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Messages a second, from the first of a backlog to its last.
async fn rate(stack: &Stack, from: u64, to: u64) -> f64 {
    let start = written(stack, from + 1).await;
    let took = written(stack, to).await - start;
    (to - from) as f64 / took.as_secs_f64().max(0.001)
}

/// A statement of this table takes for ever, whatever its size, until it is mended.
async fn break_table(stack: &Stack) {
    stack
        .pg
        .execute(
            "CREATE OR REPLACE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM pg_sleep(60); RETURN NEW; END$$;
             CREATE TRIGGER hang BEFORE INSERT ON timeseries_metrics
                FOR EACH ROW EXECUTE FUNCTION hang()",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_fault_the_backlog_shrinks_as_fast_as_one_without_a_fault() {
    let backlog = number("SR_DRAIN", 60_000);
    let stack = impatient()
        .setting("sr_event_writer.insert_timeout", "300ms")
        .start()
        .await;
    let mut seen = Vec::new();
    let mut next = 0;
    for _ in 0..ROUNDS {
        stack.disable().await;
        let (first, second, end) = (next, next + backlog, next + 2 * backlog);
        next = end;
        publish(&stack, FEED, first..second).await;
        stack.enable().await;
        let normal = rate(&stack, first, second).await;

        break_table(&stack).await;
        publish(&stack, FEED, second..end).await;
        // By then the limit is down to one message, and the breaker has opened many times.
        let before = retries(&stack).await;
        let worn_down =
            |status: &serde_json::Value| status["retries_total"].as_i64() >= Some(before + 14);
        stream_status_where(&stack, FEED, "14 failures", worn_down).await;
        stack
            .pg
            .execute("DROP TRIGGER hang ON timeseries_metrics")
            .await;
        let after = rate(&stack, second, end).await;
        stack.expect_rows(FEED, end, SOON).await;
        assert_eq!(stack.dead_letters(FEED).await.unwrap(), 0);
        seen.push((normal, after));
        if after >= HALF * normal {
            return;
        }
    }
    panic!("messages a second without and after a fault: {seen:.0?}");
}

async fn retries(stack: &Stack) -> i64 {
    let status = stack.stream_status(FEED).await.unwrap();
    status["retries_total"].as_i64().expect("a number")
}
