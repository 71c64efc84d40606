//! A link to NATS that is slower than its backlog needs, and messages of the largest size.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::process;
use pg_test::stack::{Builder, Stack};
use pg_test::wait::eventually;

use crate::nats_faults::behind_a_proxy;

const FEED: Feed = Feed::Logs;
const MEGABYTE: u64 = 1 << 20;
const WITHIN: Duration = Duration::from_secs(180);

fn builder() -> Builder {
    Stack::builder()
        .without_keys()
        .setting("sr_event_writer.streams", FEED.name())
        .setting("sr_event_writer.retry_max_delay", "1s")
}

/// Messages whose bodies have so many bytes.
async fn publish(stack: &Stack, numbers: std::ops::Range<usize>, bytes: usize) {
    let body = "x".repeat(bytes);
    let payloads = numbers.map(|n| format!(r#"{{"span_id":"{n}","body":"{body}"}}"#));
    stack.nats.publish_all("logs.app", payloads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_comes_through_a_slow_link_on_one_connection() {
    let (stack, proxy) = behind_a_proxy(builder().disabled()).await;
    // 12 MB at 400 kB a second, all asked for at once.
    publish(&stack, 0..120, 100_000).await;
    proxy.slow(400_000);
    stack.enable().await;
    let worker = stack.pg.worker_pid().await;
    let mut peak = 0;
    eventually(WITHIN, "the backlog is written", async || {
        peak = peak.max(process::private_memory(worker).expect("the worker stays"));
        match stack.rows(FEED).await {
            Ok(120) => Ok(()),
            other => Err(format!(
                "{other:?} after {} connections",
                proxy.connections()
            )),
        }
    })
    .await;
    stack.expect_rows(FEED, 120, WITHIN).await;
    assert_eq!(proxy.connections(), 1, "connections that were needed");
    assert!(peak < 128 * MEGABYTE, "{} MB", peak / MEGABYTE);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_as_large_as_the_server_takes_arrive_with_any_buffer() {
    let stack = builder()
        .nats(|options| options.configuration = "max_payload: 8MB".to_owned())
        .setting("sr_event_writer.buffer_memory", "1MB")
        .start()
        .await;
    let largest = 8 * MEGABYTE as usize - 100;
    for (round, buffer) in [(0, "1MB"), (1, "64MB")] {
        stack
            .pg
            .alter_system("sr_event_writer.buffer_memory", buffer)
            .await;
        let first = round * 100;
        publish(&stack, first..first + 3, largest).await;
        publish(&stack, first + 3..first + 100, 10).await;
        stack
            .expect_rows(FEED, (round as u64 + 1) * 100, WITHIN)
            .await;
    }
    assert_eq!(stack.dead_letters(FEED).await.unwrap(), 0, "dead letters");
    stack.expect_all_acknowledged(FEED).await;
}
