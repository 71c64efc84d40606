//! Restarting the workers.

use std::time::Duration;

use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, throughout};

use super::{FEED, become_rows, stay_rows};
use crate::fixtures::{lock_behind_a_trigger, publish};

async fn worker(stack: &Stack) -> i32 {
    stack.pg.worker_pid().await
}

async fn another_worker_than(stack: &Stack, known: i32) {
    eventually(SOON, "another worker", async || {
        let pid = stack.pg.try_worker_pid().await.ok().flatten();
        pid.filter(|pid| *pid != known)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_start_over_when_asked_to_and_only_then() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..10).await;
    become_rows(&stack, 10).await;
    let first = worker(&stack).await;
    for transaction in [
        "BEGIN; SELECT sr_event_writer_restart(); ROLLBACK",
        "BEGIN; SAVEPOINT a; SELECT sr_event_writer_restart(); ROLLBACK TO a; COMMIT",
    ] {
        stack.pg.execute(transaction).await;
    }
    let same = async || worker(&stack).await == first;
    throughout(Duration::from_secs(2), "the worker is the same", same).await;

    stack.pg.execute("SELECT sr_event_writer_restart()").await;
    another_worker_than(&stack, first).await;
    publish(&stack, FEED, 10..20).await;
    become_rows(&stack, 20).await;

    let second = worker(&stack).await;
    let sql = "BEGIN; SAVEPOINT a; SELECT sr_event_writer_restart(); RELEASE a; COMMIT";
    stack.pg.execute(sql).await;
    another_worker_than(&stack, second).await;
    publish(&stack, FEED, 20..30).await;
    stay_rows(&stack, 30).await;
    assert!(!stack.pg.log_contains("terminated by signal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_also_ends_a_worker_that_waits_for_a_lock() {
    let stack = Stack::start().await;
    let first = worker(&stack).await;
    lock_behind_a_trigger(&stack, FEED).await;
    let blocker = stack.pg.connect().await;
    blocker.batch_execute("BEGIN; LOCK gate").await.unwrap();
    publish(&stack, FEED, 0..10).await;
    let waits = format!(
        "SELECT coalesce(bool_or(wait_event_type = 'Lock'), false) FROM pg_stat_activity WHERE pid = {first}"
    );
    eventually(SOON, "the worker waits for the lock", async || {
        stack.pg.value::<bool>(&waits).await
    })
    .await;
    stack.pg.execute("SELECT sr_event_writer_restart()").await;
    eventually(Duration::from_secs(5), "the worker has ended", async || {
        !pg_test::process::alive(first)
    })
    .await;
    blocker.batch_execute("COMMIT").await.unwrap();
    stay_rows(&stack, 10).await;
}
