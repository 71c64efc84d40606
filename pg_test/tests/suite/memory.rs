//! One budget covers everything in memory: a backlog stays in NATS.
//!
//! `SR_BACKLOG=1000000` for the full size.

mod budget;
mod headers;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::process;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::number;

const MEGABYTE: u64 = 1 << 20;
/// `sr_event_writer.buffer_memory` by default, and what the process may take beside it.
const LIMIT: u64 = (64 + 64) * MEGABYTE;

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_stays_within_its_memory_with_a_huge_backlog_and_a_blocked_table() {
    let count = number("SR_BACKLOG", 300_000);
    let stack = Stack::builder().disabled().start().await;
    stack
        .nats
        .publish_messages(Generator::new(9).range(Feed::Telemetry, 0..count))
        .await;

    // While the table is blocked everything that may be buffered is.
    let locker = stack.pg.connect().await;
    locker
        .batch_execute("BEGIN; LOCK TABLE timeseries_metrics IN EXCLUSIVE MODE")
        .await
        .unwrap();
    stack.enable().await;
    let worker = stack.pg.worker_pid().await;

    let done = AtomicBool::new(false);
    let peak = AtomicU64::new(0);
    let watch = eventually(
        Duration::from_secs(600),
        "the backlog is written",
        async || {
            let memory =
                process::private_memory(worker).expect("the worker is the same all the time");
            peak.fetch_max(memory, Ordering::Relaxed);
            done.load(Ordering::Relaxed)
        },
    );
    let write = async {
        fetching_stops(&stack).await;
        locker.batch_execute("ROLLBACK").await.unwrap();
        stack
            .expect_rows(Feed::Telemetry, count, Duration::from_secs(300))
            .await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(watch, write);

    let peak = peak.into_inner();
    assert!(
        peak < LIMIT,
        "the worker used up to {} MB for a backlog of {count} messages",
        peak / MEGABYTE
    );
}

/// Waits until no further message is fetched for two seconds.
async fn fetching_stops(stack: &Stack) {
    let consumer = Feed::Telemetry.consumer();
    let fetched = async || {
        let info = stack.nats.consumer("TELEMETRY", &consumer).await?;
        Ok::<_, String>(info.delivered.stream_sequence)
    };
    eventually(SOON, "messages are fetched", async || {
        fetched().await.is_ok_and(|n| n > 0)
    })
    .await;
    let mut last = 0;
    let mut same_for = 0;
    eventually(SOON * 2, "fetching stops", async || {
        let now = fetched().await?;
        same_for = if now == last { same_for + 1 } else { 0 };
        last = now;
        // Looks are at least 40 ms apart.
        if same_for >= 50 {
            Ok(())
        } else {
            Err(format!("{now} fetched"))
        }
    })
    .await;
}
