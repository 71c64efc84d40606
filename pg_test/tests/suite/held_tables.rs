//! Pipelines whose tables are missing leave the others their memory.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};

use crate::fixtures::{detail_mentions, expect_exactly_once, stream_status_where};

const GENERATOR_SEED: u64 = 9;
/// Of each feed; several times what the memory below holds.
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
