//! A faulty environment costs no message: writes that the database refuses for now are tried again.

mod breaker;
mod drain;
mod locks;
mod schema;
mod wal;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::SmallDisk;
use pg_test::process;
use pg_test::stack::{Builder, SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::{
    assert_unharmed, detail_mentions, expect_exactly_once, rows_are_added, stream_status_where,
    under_load,
};

const FEEDS: [Feed; 2] = [Feed::Telemetry, Feed::Logs];

/// With delays that a test can wait for, and no unique key that hides what is written twice.
pub fn impatient() -> Builder {
    Stack::builder()
        .without_keys()
        .setting("sr_event_writer.retry_min_delay", "100ms")
        .setting("sr_event_writer.retry_max_delay", "1s")
        .setting("sr_event_writer.breaker_reset", "1s")
}

/// Ends the worker as an administrator would, and waits for the next one.
pub async fn restart_worker(stack: &Stack) {
    let old = stack.pg.worker_pid().await;
    stack
        .pg
        .execute(&format!("SELECT pg_terminate_backend({old})"))
        .await;
    eventually(SOON, "the worker is another one", async || {
        match stack.pg.try_worker_pid().await {
            Ok(Some(pid)) if pid != old => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_one_table_only_and_only_as_long_as_it_is_full() {
    let Some(disk) = SmallDisk::mount(16) else {
        return;
    };
    let stack = impatient().plain_tables().start().await;
    disk.create_tablespace(&stack.pg, "small").await;
    stack
        .pg
        .execute("ALTER TABLE logs SET TABLESPACE small")
        .await;
    let fault = async {
        rows_are_added(&stack, Feed::Logs, SOON).await;
        disk.fill();
        let full = detail_mentions("53100");
        stream_status_where(&stack, Feed::Logs, "that the disk is full", full).await;
        rows_are_added(&stack, Feed::Telemetry, SOON).await;
        rows_are_added(&stack, Feed::Telemetry, SOON).await;
        disk.free();
        rows_are_added(&stack, Feed::Logs, SOON).await;
    };
    let (count, ()) = under_load(&stack, &FEEDS, 0, fault).await;
    expect_exactly_once(&stack, &FEEDS, count).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_for_sessions_of_role_and_database_are_not_for_the_worker() {
    let stack = impatient().start().await;
    let fault = async {
        rows_are_added(&stack, Feed::Logs, SOON).await;
        stack
            .pg
            .execute(
                "CREATE ROLE nobody;
                 ALTER DATABASE postgres SET role = nobody;
                 ALTER ROLE postgres SET statement_timeout = '1ms';
                 ALTER ROLE postgres SET lock_timeout = '1ms';
                 ALTER ROLE postgres SET transaction_timeout = '1ms';
                 ALTER ROLE postgres SET idle_in_transaction_session_timeout = '1ms';
                 ALTER DATABASE postgres SET default_transaction_read_only = on;
                 ALTER DATABASE postgres SET default_transaction_isolation = serializable;
                 ALTER DATABASE postgres SET default_transaction_deferrable = on",
            )
            .await;
        restart_worker(&stack).await;
        rows_are_added(&stack, Feed::Logs, SOON).await;
        // The same from the configuration file, which the worker reads again at once.
        for (key, value) in [
            ("default_transaction_read_only", "on"),
            ("default_transaction_isolation", "repeatable read"),
            ("statement_timeout", "1ms"),
            ("transaction_timeout", "1ms"),
        ] {
            stack.pg.alter_system(key, value).await;
        }
        let worker = stack.pg.worker_pid().await;
        rows_are_added(&stack, Feed::Logs, SOON).await;
        rows_are_added(&stack, Feed::Telemetry, SOON).await;
        assert_eq!(stack.pg.worker_pid().await, worker, "it was not ended");
    };
    let (count, ()) = under_load(&stack, &FEEDS, 0, fault).await;
    expect_exactly_once(&stack, &FEEDS, count).await;
    let status = stack.stream_status(Feed::Logs).await.unwrap();
    assert_eq!(status["retries_total"], 0, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_connection_is_written_to_also_after_a_restart_of_the_worker() {
    let stack = impatient().setting("max_connections", "8").start().await;
    let fault = async {
        rows_are_added(&stack, Feed::Logs, SOON).await;
        stack
            .pg
            .execute(
                "ALTER ROLE postgres CONNECTION LIMIT 0;
                 ALTER DATABASE postgres CONNECTION LIMIT 0",
            )
            .await;
        // The first one is the session that the questions below go through.
        let mut taken = Vec::new();
        while let Ok(session) = stack.pg.try_connect("postgres", "postgres").await {
            taken.push(session);
        }
        assert!(taken.len() < 8);
        restart_worker(&stack).await;
        rows_are_added(&stack, Feed::Logs, SOON).await;
        drop(taken);
    };
    let (count, ()) = under_load(&stack, &FEEDS, 0, fault).await;
    expect_exactly_once(&stack, &FEEDS, count).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_closed_to_connections_is_written_to_once_it_is_open_again() {
    let stack = impatient().start().await;
    let fault = async {
        rows_are_added(&stack, Feed::Logs, SOON).await;
        let old = stack.pg.worker_pid().await;
        let outside = stack.pg.connect_as("postgres", "template1").await;
        let close = "ALTER DATABASE postgres WITH ALLOW_CONNECTIONS false";
        outside.batch_execute(close).await.unwrap();
        let end = format!("SELECT pg_terminate_backend({old})");
        outside.batch_execute(&end).await.unwrap();
        eventually(SOON, "the worker is gone and refused", async || {
            !process::alive(old)
                && stack
                    .pg
                    .log_contains("is not currently accepting connections")
        })
        .await;
        let open = "ALTER DATABASE postgres WITH ALLOW_CONNECTIONS true";
        outside.batch_execute(open).await.unwrap();
        rows_are_added(&stack, Feed::Logs, SOON).await;
    };
    let (count, ()) = under_load(&stack, &FEEDS, 0, fault).await;
    expect_exactly_once(&stack, &FEEDS, count).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_with_another_session_is_over_in_a_moment_and_costs_nothing() {
    let stack = impatient().start().await;
    stack
        .nats
        .publish_messages(Generator::new(0).range(Feed::Logs, 0..10))
        .await;
    stack.expect_rows(Feed::Logs, 10, SOON).await;
    let other = stack.pg.connect().await;
    // The worker has the table and waits for its position; then the other one wants the table.
    other
        .batch_execute("BEGIN; UPDATE sr_event_writer.stream_position SET updated_at = now()")
        .await
        .unwrap();
    let (count, ()) = under_load(&stack, &[Feed::Logs], 10, async {
        let worker = stack.pg.worker_pid().await;
        let sql = format!("SELECT count(*) FROM pg_locks WHERE pid = {worker} AND NOT granted");
        eventually(
            SOON,
            "the worker waits for the other session",
            async || match stack.pg.try_value::<i64>(&sql).await {
                Ok(1..) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
        // Either of the two may be chosen to give way.
        let _ = other.batch_execute("LOCK TABLE logs").await;
        other.batch_execute("ROLLBACK").await.unwrap();
        rows_are_added(&stack, Feed::Logs, SOON).await;
    })
    .await;
    stack.expect_rows(Feed::Logs, count, SOON).await;
    assert_eq!(stack.dead_letters(Feed::Logs).await.unwrap(), 0);
    assert_unharmed(&stack);
}
