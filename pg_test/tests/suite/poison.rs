//! A message that crashes the server process costs only itself and a few seconds, never the others.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::Failure;
use pg_test::process::{Signal, kill};
use pg_test::stack::Stack;
use pg_test::wait::{eventually, eventually_equal};
use std::time::Duration;
use tokio_postgres::Client;

use crate::fixtures::writer_is;

/// Timeout for two crashes of the whole server and their recovery, on a busy machine.
const RECOVERY: Duration = Duration::from_secs(120);

/// Kills the worker's process by a signal, as a defective trigger in C would.
async fn crash_on(stack: &Stack, feed: Feed, condition: &str) {
    let sql = format!(
        "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -SEGV ' || pg_backend_pid());
             RETURN NEW;
         END $$;
         CREATE TRIGGER crash BEFORE INSERT ON {} FOR EACH ROW WHEN ({condition})
         EXECUTE FUNCTION crash()",
        feed.table()
    );
    stack.pg.execute(&sql).await;
}

/// Sequences of the dead letters, with what is said about them.
async fn letters(stack: &Stack) -> Vec<(i64, String, String)> {
    let sql = "SELECT sequence, stage, error FROM sr_event_writer.dead_letter ORDER BY sequence";
    let rows = stack.pg.query(sql, &[]).await;
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

fn crashes(stack: &Stack) -> usize {
    stack
        .pg
        .log()
        .matches("was terminated by signal 11")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_crashes_the_worker_twice_is_set_aside_and_the_others_are_written() {
    let stack = Stack::builder().disabled().start().await;
    let feed = Feed::Telemetry;
    crash_on(&stack, feed, "NEW.value = 137").await;
    let generator = Generator::new(31);
    stack
        .nats
        .publish_messages(generator.range(feed, 0..300))
        .await;
    stack
        .nats
        .publish_messages(generator.range(Feed::Logs, 0..300))
        .await;
    stack.enable().await;

    stack.expect_rows(feed, 299, RECOVERY).await;
    stack.expect_rows(Feed::Logs, 300, RECOVERY).await;
    eventually_equal(RECOVERY, "dead letters", 1, async || {
        stack.dead_letters(feed).await
    })
    .await;
    let error = "the server process crashed each time it wrote this message";
    assert_eq!(
        letters(&stack).await,
        [(138, "insert".to_owned(), error.to_owned())]
    );
    assert_eq!(crashes(&stack), 2, "once in its batch, once alone");
    stack.expect_all_acknowledged(feed).await;
    writer_is(&stack, "running").await;
    assert!(stack.pg.log_contains("they are written one by one now"));

    // Nobody crashes the server by asking for all letters.
    let all = "SELECT count(*) FROM sr_event_writer_replay()";
    assert_eq!(stack.pg.value::<i64>(all).await, 0);
    stack
        .pg
        .execute("DROP TRIGGER crash ON timeseries_metrics")
        .await;
    let mended = "SELECT count(*) FROM sr_event_writer_replay(ids => ARRAY(
        SELECT id FROM sr_event_writer.dead_letter)) WHERE ok";
    assert_eq!(stack.pg.value::<i64>(mended).await, 1);
    stack.expect_rows(feed, 300, RECOVERY).await;
    assert_eq!(crashes(&stack), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_such_messages_in_one_batch_are_both_found() {
    let stack = Stack::builder().disabled().start().await;
    let feed = Feed::Netflow;
    crash_on(&stack, feed, "NEW.octets IN (7, 40)").await;
    stack
        .nats
        .publish_messages(Generator::new(32).range(feed, 0..60))
        .await;
    stack.enable().await;

    stack.expect_rows(feed, 58, RECOVERY).await;
    eventually_equal(RECOVERY, "dead letters", 2, async || {
        stack.dead_letters(feed).await
    })
    .await;
    let sequences: Vec<_> = letters(&stack).await.into_iter().map(|l| l.0).collect();
    assert_eq!(sequences, [8, 41]);
    stack.expect_all_acknowledged(feed).await;
}

/// Kills and crashes that no message is to blame for set nothing aside.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_kills_the_worker_or_the_server_makes_no_dead_letter() {
    let stack = Stack::builder().disabled().start().await;
    let feed = Feed::Telemetry;
    // Slow enough to be hit in the middle.
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON timeseries_metrics FOR EACH ROW EXECUTE FUNCTION slow()";
    stack.pg.execute(slow).await;
    stack
        .nats
        .publish_messages(Generator::new(33).range(feed, 0..200))
        .await;
    stack.enable().await;
    for _ in 0..2 {
        is_writing(&stack).await;
        stack.pg.kill_worker().await;
    }
    is_writing(&stack).await;
    stack.pg.kill_all().await;
    stack.pg.start().await;
    // Another process crashes: the worker has to end, but it is not what was being written.
    for _ in 0..2 {
        is_writing(&stack).await;
        let (session, pid) = a_session(&stack).await;
        kill(pid, Signal::SIGKILL);
        let down = "the sessions are ended";
        eventually(RECOVERY, down, async || session.is_closed()).await;
    }
    stack.expect_rows(feed, 200, RECOVERY).await;
    assert_eq!(letters(&stack).await, []);
}

/// A session and its process. The postmaster may only now hear of the crash before, and then
/// refuses or ends sessions until it has recovered.
async fn a_session(stack: &Stack) -> (Client, i32) {
    eventually(RECOVERY, "a session", async || {
        let client = stack.pg.try_connect("postgres", "postgres").await?;
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await?;
        let pid = row.get(0);
        Ok::<_, Failure>((client, pid))
    })
    .await
}

async fn is_writing(stack: &Stack) {
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'sr_event_writer' AND wait_event = 'PgSleep'";
    eventually_equal(RECOVERY, "workers in the trigger", 1, async || {
        stack.pg.try_value::<i64>(sql).await
    })
    .await;
}
