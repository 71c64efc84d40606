//! The status names a worker that sends no heartbeat, but not one that only works for long.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::process::{self, Signal};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, throughout};
use serde_json::Value;

use crate::fixtures::{self, publish};

const FEED: Feed = Feed::Netflow;

/// Ten seconds without a heartbeat, and some for a busy machine.
const NOTICED: Duration = Duration::from_secs(15);

/// Lets a stopped process go on, whatever becomes of the test.
struct Stopped(i32);

impl Stopped {
    fn new(pid: i32) -> Self {
        process::kill(pid, Signal::SIGSTOP);
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        process::kill(self.0, Signal::SIGCONT);
    }
}

async fn is_unresponsive(stack: &Stack, within: Duration) -> Value {
    eventually(within, "the writer is unresponsive", async || {
        let status = stack
            .status()
            .await
            .map_err(|failure| failure.to_string())?;
        match status["state"] == "unresponsive" {
            true => Ok(status),
            false => Err(status.to_string()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_is_unresponsive_until_it_goes_on() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..10).await;
    stack.expect_rows(FEED, 10, SOON).await;
    fixtures::writer_is(&stack, "running").await;
    let idle = |status: &Value| status["pending"] == 0;
    fixtures::stream_status_where(&stack, FEED, "that nothing is pending", idle).await;
    let pid = stack.pg.worker_pid().await;
    let before: String = stack.pg.value("SELECT now()::text").await;
    let stopped = Stopped::new(pid);
    eventually(SOON, "the worker stands still", async || {
        process::stands_still(pid)
    })
    .await;
    publish(&stack, FEED, 10..20).await;

    let status = is_unresponsive(&stack, NOTICED).await;
    let reason = status["reason"].as_str().expect("a reason");
    let names = format!("process {pid} has sent no heartbeat for 1");
    assert!(reason.starts_with(&names), "{reason}");
    let since = status["since"].as_str().expect("since when");
    let sql =
        format!("SELECT '{since}'::timestamptz - '{before}'::timestamptz BETWEEN '-2 s' AND '2 s'");
    assert!(stack.pg.value::<bool>(&sql).await, "{status}: {before}");
    assert_eq!(status["nats"]["state"], "unknown", "{status}");
    let stream = stack.stream_status(FEED).await.expect("a status");
    assert_eq!(stream["state"], "unresponsive", "{stream}");
    let detail = stream["detail"].as_str().expect("a detail");
    assert!(detail.starts_with(&names), "{stream}");
    assert_eq!(stream["pending"], Value::Null, "{stream}");
    let lag = stream["lag_seconds"].as_f64().expect("a lag");
    assert!(lag >= 10.0, "{stream}");
    eventually(SOON, "the lag grows", async || {
        let stream = stack.stream_status(FEED).await.expect("a status");
        stream["lag_seconds"].as_f64() > Some(lag + 1.0)
    })
    .await;

    drop(stopped);
    fixtures::writer_is(&stack, "running").await;
    stack.expect_rows(FEED, 20, SOON).await;
    fixtures::expect_exactly_once(&stack, &[FEED], 20).await;
    let stream = stack.stream_status(FEED).await.expect("a status");
    assert_eq!(stream["state"], "running", "{stream}");
}

async fn sleep_in_a_trigger(stack: &Stack, seconds: u32) {
    let sql = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END$$;
         CREATE TRIGGER slow BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION slow()",
        FEED.table()
    );
    stack.pg.execute(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_in_a_long_statement_is_not_unresponsive() {
    let stack = Stack::start().await;
    fixtures::writer_is(&stack, "running").await;
    sleep_in_a_trigger(&stack, 15).await;
    publish(&stack, FEED, 0..1).await;
    throughout(Duration::from_secs(14), "it is running", async || {
        let status = stack
            .status()
            .await
            .map_err(|failure| failure.to_string())?;
        match status["state"] == "running" {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    })
    .await;
    stack.expect_rows(FEED, 1, SOON).await;
}
