//! Information about the workers outside the status functions: sessions, log, and who paused.

use std::time::{Duration, Instant};

use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures;

const FEED: Feed = Feed::Netflow;

async fn waits_for(stack: &Stack, event: &str) {
    let sql = "SELECT wait_event_type || ' ' || wait_event || ' ' || backend_type || ' ' || state
        FROM pg_stat_activity WHERE application_name = 'sr_event_writer'";
    let expected = format!("Extension {event} sr_event_writer idle");
    eventually(SOON, expected.clone(), async || {
        match stack.pg.try_value::<Option<String>>(sql).await {
            Ok(Some(seen)) if seen == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_says_what_it_waits_for() {
    let stack = Stack::builder().disabled().start().await;
    waits_for(&stack, "SrEventWriterStart").await;
    stack.enable().await;
    waits_for(&stack, "SrEventWriterIdle").await;
    stack.nats.stop().await;
    waits_for(&stack, "SrEventWriterNats").await;
}

fn lines(stack: &Stack) -> usize {
    let log = stack.pg.log();
    log.lines()
        .filter(|line| line.contains("sr_event_writer"))
        .count()
}

/// Waits for a while without a line: figures are shown once a second.
async fn keeps_still(stack: &Stack) {
    let (mut known, mut since) = (lines(stack), Instant::now());
    eventually(SOON, "the log keeps still", async || {
        let now = lines(stack);
        if now != known {
            (known, since) = (now, Instant::now());
        }
        match since.elapsed() > Duration::from_secs(3) {
            true => Ok(()),
            false => Err(format!("{known} lines")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_no_line_per_message_and_never_a_payload() {
    const SECRET: &str = "hunter2";
    let stack = Stack::builder()
        .setting("sr_event_writer.streams", FEED.name())
        .start()
        .await;
    let refuse = format!(
        "ALTER TABLE {} ADD CONSTRAINT unlucky CHECK (src_addr <> '{SECRET}')",
        FEED.table()
    );
    stack.pg.execute(&refuse).await;
    fixtures::writer_is(&stack, "running").await;
    let before = lines(&stack);
    for payload in [
        format!(r#"{{"timestamp":1767026614,"src_addr":"{SECRET}"}}"#),
        format!(r#"{{"timestamp":1767026614,"src_port":"{SECRET}"}}"#),
        format!(r#"{{"timestamp":1767026614,"src_addr":"{SECRET}"#),
    ] {
        stack
            .nats
            .publish_messages([Message::plain("netflow.flows", payload)])
            .await;
    }
    let good = Generator::new(63).range(FEED, 0..500);
    stack.nats.publish_messages(good).await;
    stack.expect_rows(FEED, 500, SOON).await;
    assert_eq!(stack.dead_letters(FEED).await.expect("letters"), 3);
    let more = lines(&stack) - before;
    assert!(more < 10, "{more} lines more");
    keeps_still(&stack).await;
    // The statements of this test are not the worker's.
    let log = stack.pg.log();
    let leak = log
        .lines()
        .find(|line| line.contains(SECRET) && !line.contains("unlucky CHECK"));
    assert_eq!(leak, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_paused_is_the_user_of_the_session() {
    let stack = Stack::start().await;
    stack
        .pg
        .execute(
            "CREATE ROLE operator LOGIN;
             GRANT EXECUTE ON FUNCTION sr_event_writer_pause(text) TO operator",
        )
        .await;
    let session = stack.pg.connect_as("operator", "postgres").await;
    session
        .batch_execute("SELECT sr_event_writer_pause('netflow')")
        .await
        .expect("a pause");
    let sql =
        "SELECT changed_by::text FROM sr_event_writer.pipeline_control WHERE pipeline = 'netflow'";
    assert_eq!(stack.pg.value::<String>(sql).await, "operator");
}
