//! The memory that a message's headers take counts as much as its payload.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::nats::RawPublisher;
use pg_test::process;
use pg_test::stack::Stack;
use pg_test::wait::{eventually, throughout};

const MEGABYTE: u64 = 1 << 20;
/// `sr_event_writer.buffer_memory` by default, and what the process may take beside it.
const LIMIT: u64 = (64 + 64) * MEGABYTE;
/// Bytes of headers of one message; JetStream takes 64 kB.
const HEADER: usize = 60_000;
/// Messages with one long value each: 180 MB on the wire.
const LONG: u64 = 3_000;
/// Messages with thousands of short lines each, which take twenty times as much once parsed.
const SHORT: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_any_shape_are_part_of_the_memory_budget() {
    let stack = Stack::builder().disabled().start().await;
    let long = format!("NATS/1.0\r\nX: {}\r\n\r\n", "x".repeat(HEADER));
    let short = format!("NATS/1.0\r\n{}\r\n", "abc:\r\n".repeat(HEADER / 6));
    publish(&stack, 0..SHORT, &short).await;
    publish(&stack, SHORT..SHORT + LONG, &long).await;
    let count = SHORT + LONG;
    eventually(Duration::from_secs(60), "all are stored", async || {
        stack.nats.stream_state("NETFLOW").await.messages == count
    })
    .await;

    let locker = stack.pg.connect().await;
    locker
        .batch_execute("BEGIN; LOCK TABLE netflow_metrics IN EXCLUSIVE MODE")
        .await
        .unwrap();
    stack.enable().await;
    let worker = stack.pg.worker_pid().await;
    let peak = AtomicU64::new(0);
    let look = || {
        let memory = process::private_memory(worker).expect("the worker stays the same");
        peak.fetch_max(memory, Ordering::Relaxed);
        let peak = peak.load(Ordering::Relaxed);
        assert!(peak < LIMIT, "the worker used {} MB", peak / MEGABYTE);
    };
    eventually(
        Duration::from_secs(60),
        "messages are fetched",
        async || {
            look();
            let status = stack.status().await;
            status.is_ok_and(|status| status["memory_bytes"].as_i64() > Some(0))
        },
    )
    .await;
    throughout(Duration::from_secs(8), "memory is bounded", async || {
        look();
        true
    })
    .await;
    locker.batch_execute("ROLLBACK").await.unwrap();
    let done = AtomicBool::new(false);
    let watch = eventually(Duration::from_secs(120), "all is written", async || {
        look();
        done.load(Ordering::Relaxed)
    });
    let write = async {
        stack
            .expect_rows(Feed::Netflow, count, Duration::from_secs(100))
            .await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(watch, write);
}

/// Publishes good messages with this block of headers.
async fn publish(stack: &Stack, numbers: std::ops::Range<u64>, header: &str) {
    let mut publisher = RawPublisher::connect(stack.nats.port()).await;
    for (count, message) in Generator::new(9).range(Feed::Netflow, numbers).enumerate() {
        publisher
            .publish_with_headers(
                message.subject.as_bytes(),
                header.as_bytes(),
                &message.payload,
            )
            .await;
        // The server drops what it cannot store at once.
        if count % 50 == 49 {
            publisher.flush().await;
        }
    }
    publisher.flush().await;
}
