//! Pipelines whose tables are missing leave the others their memory.

use std::time::Instant;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::{detail_mentions, expect_exactly_once, stream_status_where};

const GENERATOR_SEED: u64 = 9;
/// Messages of each feed; several times as many as the memory below holds.
const BACKLOG: u64 = 4_000;

const MISSING: [Feed; 5] = [
    Feed::Telemetry,
    Feed::Events,
    Feed::Sweep,
    Feed::Netflow,
    Feed::OtelMetrics,
];
const THERE: [Feed; 2] = [Feed::OtelTraces, Feed::Logs];

async fn publish(stack: &Stack, feeds: &[Feed], numbers: std::ops::Range<u64>) {
    for &feed in feeds {
        let messages = Generator::new(GENERATOR_SEED).range(feed, numbers.clone());
        stack.nats.publish_messages(messages).await;
    }
}

async fn rename(stack: &Stack, prefixes: [&str; 2]) {
    let [from, to] = prefixes;
    for feed in MISSING {
        let table = feed.table();
        let sql = format!("ALTER TABLE {from}{table} RENAME TO {to}{table}");
        stack.pg.execute(&sql).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_five_of_seven_tables_missing_the_other_two_drain_and_go_on() {
    let builder = Stack::builder().disabled();
    let builder = builder.setting("sr_event_writer.buffer_memory", "4MB");
    let stack = builder.start().await;
    rename(&stack, ["", "away_"]).await;
    publish(&stack, &Feed::ALL, 0..BACKLOG).await;
    stack.enable().await;
    for feed in THERE {
        stack.expect_rows(feed, BACKLOG, SOON).await;
    }
    for feed in MISSING {
        let named = detail_mentions(feed.table());
        stream_status_where(&stack, feed, "that the table is missing", named).await;
    }
    publish(&stack, &Feed::ALL, BACKLOG..BACKLOG + 1_000).await;
    for feed in THERE {
        stack.expect_rows(feed, BACKLOG + 1_000, SOON).await;
    }
    rename(&stack, ["away_", ""]).await;
    expect_exactly_once(&stack, &Feed::ALL, BACKLOG + 1_000).await;
}

/// Messages of each feed whose writing is timed.
const MEASURED: u64 = 15_000;
/// Other work on the machine may fall into one measurement and not into the other.
const ROUNDS: usize = 3;
const HALF: f64 = 0.5;

/// Messages of the tables that are there a second, from the first one written to the last: numbers
/// `from` to `to` of each.
async fn rate(stack: &Stack, from: u64, to: u64) -> f64 {
    let feeds = THERE.len() as u64;
    let start = written(stack, feeds * from + 1).await;
    let took = written(stack, feeds * to).await - start;
    (feeds * (to - from)) as f64 / took.as_secs_f64().max(0.001)
}

/// Waits until so many messages of the tables that are there are written.
async fn written(stack: &Stack, count: u64) -> Instant {
    let what = format!("{count} messages are written");
    let names = THERE.map(Feed::name).join("', '");
    let sql = format!(
        "SELECT sum(messages_total)::bigint FROM sr_event_writer.stream_status WHERE name IN ('{names}')"
    );
    eventually(SOON * 2, what, async || {
        match stack.pg.try_value::<i64>(&sql).await {
            Ok(done) if done >= count as i64 => Ok(Instant::now()),
            Ok(done) => Err(done.to_string()),
            Err(failure) => Err(failure.to_string()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_five_of_seven_tables_missing_the_other_two_drain_no_slower_than_half_as_fast() {
    let stack = Stack::builder().without_keys().disabled().start().await;
    let mut seen = Vec::new();
    let mut next = 0;
    for _ in 0..ROUNDS {
        let (first, second, end) = (next, next + MEASURED, next + 2 * MEASURED);
        next = end;
        publish(&stack, &THERE, first..second).await;
        stack.enable().await;
        let alone = rate(&stack, first, second).await;
        stack.disable().await;

        rename(&stack, ["", "away_"]).await;
        publish(&stack, &Feed::ALL, second..end).await;
        stack.enable().await;
        let beside = rate(&stack, second, end).await;
        for feed in MISSING {
            let named = detail_mentions(feed.table());
            stream_status_where(&stack, feed, "that the table is missing", named).await;
        }
        stack.disable().await;
        rename(&stack, ["away_", ""]).await;
        seen.push((alone, beside));
        if beside >= HALF * alone {
            return;
        }
    }
    panic!("messages a second alone and beside tables that are missing: {seen:.0?}");
}
