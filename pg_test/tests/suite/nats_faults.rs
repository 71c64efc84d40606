//! Shared helpers of the tests of NATS faults; each `nats_faults_…` has one topic.

mod cluster;
mod cut;
mod edited;
mod groups;
mod lost;
mod old_server;
mod refused;
mod retention;
mod server;
mod silence;
mod slow;
mod sparse;
mod status_line;
mod unreadable;
mod unreadable_queue;

use crate::fixtures::gaps;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::nats::Access;
use pg_test::port::Port;
use pg_test::proxy::Proxy;
use pg_test::stack::{Builder, Stack};
use pg_test::wait::eventually;

/// Netflow has no unique key: a message that is written twice is two rows.
pub const FEED: Feed = Feed::Netflow;
/// Timeout from the end of a fault to the last row, on a busy machine.
pub const RECOVERY: Duration = Duration::from_secs(90);
/// Between two portions of messages that flow during a fault.
const PORTION_EVERY: Duration = Duration::from_millis(50);
const PORTION: u64 = 50;

/// One pipeline that tries again soon.
pub fn builder() -> Builder {
    Stack::builder()
        .without_keys()
        .setting("sr_event_writer.streams", FEED.name())
        .setting("sr_event_writer.retry_min_delay", "100ms")
        .setting("sr_event_writer.retry_max_delay", "1s")
}

/// A stack whose writer reaches NATS through a proxy.
pub async fn behind_a_proxy(builder: Builder) -> (Stack, Proxy) {
    let port = Port::reserve();
    let proxy = Proxy::start(port.number()).await;
    let stack = builder
        .nats(|options| options.placement.port = Some(port))
        .nats_url(&proxy.url())
        .start()
        .await;
    (stack, proxy)
}

/// Publishes messages with these numbers, each once, whatever happens meanwhile.
pub async fn publish(access: &Access, numbers: std::ops::Range<u64>) {
    access
        .publish_until_stored(Generator::new(11).range(FEED, numbers))
        .await;
}

/// Lets messages flow, from number `first` on, as long as `faults` take; the number after the last.
pub async fn publish_during(access: &Access, first: u64, faults: impl Future<Output = ()>) -> u64 {
    let over = AtomicBool::new(false);
    let flow = async {
        let mut next = first;
        let mut pace = tokio::time::interval(PORTION_EVERY);
        while !over.load(Ordering::Relaxed) {
            pace.tick().await;
            publish(access, next..next + PORTION).await;
            next += PORTION;
        }
        next
    };
    let faults = async {
        faults.await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(flow, faults).0
}

/// Waits until there is at least one row more than now.
pub async fn rows_go_on(stack: &Stack) {
    let before = eventually(RECOVERY, "PostgreSQL answers", async || {
        stack.rows(FEED).await
    })
    .await;
    eventually(RECOVERY, "further rows appear", async || {
        match stack.rows(FEED).await {
            Ok(rows) if rows > before => Ok(()),
            Ok(rows) => Err(format!("{rows} rows")),
            Err(failure) => Err(failure.to_string()),
        }
    })
    .await;
}

/// All of `count` messages are rows, each once; nothing else is recorded, nothing is left to do.
pub async fn expect_exactly(stack: &Stack, count: u64) {
    stack.expect_rows(FEED, count, RECOVERY).await;
    stack.expect_all_acknowledged(FEED).await;
    stack.expect_rows(FEED, count, RECOVERY).await;
    assert_eq!(gaps(stack).await, [], "gaps");
    assert_eq!(stack.dead_letters(FEED).await.unwrap(), 0, "dead letters");
}

/// Waits until the pipeline is in this state, with all of `words` in its detail.
pub async fn stream_says(stack: &Stack, within: Duration, state: &str, words: &[&str]) {
    let what = format!("the pipeline is {state} and says {words:?}");
    eventually(within, what, async || {
        let status = stack.stream_status(FEED).await;
        let status = status.map_err(|failure| failure.to_string())?;
        let detail = status["detail"].as_str().unwrap_or_default();
        if status["state"] == state && words.iter().all(|word| detail.contains(word)) {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
}

/// Waits until the status of the whole writer, as text, says all of `words`.
pub async fn status_says(stack: &Stack, within: Duration, words: &[&str]) {
    eventually(
        within,
        format_args!("the status says {words:?}"),
        async || {
            let status = stack
                .status()
                .await
                .map_err(|failure| failure.to_string())?;
            let text = status.to_string();
            if words.iter().all(|word| text.contains(word)) {
                Ok(())
            } else {
                Err(text)
            }
        },
    )
    .await;
}
