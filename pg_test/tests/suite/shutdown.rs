//! `pg_ctl stop -m fast` returns within five seconds, whatever the writer is doing.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::postgres::Stop;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::{assert_unharmed, lock_behind_a_trigger, publish};

const LIMIT: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(90);

async fn assert_stops_in_time(stack: &Stack) {
    let took = stack.pg.stop(Stop::Fast).await;
    assert!(
        took < LIMIT,
        "pg_ctl stop -m fast took {:.1} s",
        took.as_secs_f32()
    );
    assert_unharmed(stack);
}

async fn rows_appear(stack: &Stack) {
    eventually(SOON, "the first rows", async || {
        match stack.rows(Feed::Telemetry).await {
            Ok(0) => Err("none".to_owned()),
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.to_string()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_while_messages_flow() {
    let stack = Stack::start().await;
    let count = 40_000;
    let stop = async {
        rows_appear(&stack).await;
        assert_stops_in_time(&stack).await;
    };
    tokio::join!(publish(&stack, Feed::Telemetry, 0..count), stop);
    stack.pg.start().await;
    stack.expect_rows(Feed::Telemetry, count, REST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_while_nats_is_away() {
    let stack = Stack::start().await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;
    stack.nats.stop().await;
    eventually(SOON, "the writer notices that NATS is away", async || {
        let status = stack
            .status()
            .await
            .map_err(|failure| failure.to_string())?;
        if status["nats"]["state"] == "connected" {
            Err(status.to_string())
        } else {
            Ok(())
        }
    })
    .await;
    assert_stops_in_time(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_when_nats_was_never_there() {
    let stack = Stack::builder().without_nats().start().await;
    stack.pg.worker_pid().await;
    assert_stops_in_time(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_while_nats_is_frozen() {
    let stack = Stack::start().await;
    publish(&stack, Feed::Telemetry, 0..5_000).await;
    rows_appear(&stack).await;
    stack.nats.freeze();
    assert_stops_in_time(&stack).await;
    stack.nats.unfreeze();
    stack.pg.start().await;
    stack.expect_rows(Feed::Telemetry, 5_000, REST).await;
}

/// A lock of a prepared transaction, because one of a session ends with that session, which the
/// shutdown ends as well.
#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_while_it_waits_for_a_lock_on_the_destination() {
    let stack = Stack::builder()
        .setting("max_prepared_transactions", "2")
        .start()
        .await;
    lock_behind_a_trigger(&stack, Feed::Telemetry).await;
    stack
        .pg
        .execute("BEGIN; LOCK TABLE gate; PREPARE TRANSACTION 'lock'")
        .await;
    publish(&stack, Feed::Telemetry, 0..500).await;
    let worker = stack.pg.worker_pid().await;
    let sql = format!("SELECT count(*) FROM pg_locks WHERE pid = {worker} AND NOT granted");
    eventually(SOON, "the writer waits for the lock", async || match stack
        .pg
        .try_value::<i64>(&sql)
        .await
    {
        Ok(1..) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_stops_in_time(&stack).await;

    stack.pg.start().await;
    stack.pg.execute("ROLLBACK PREPARED 'lock'").await;
    stack.expect_rows(Feed::Telemetry, 500, REST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_when_it_is_switched_off_or_paused() {
    let stack = Stack::builder().disabled().start().await;
    stack.pg.worker_pid().await;
    assert_stops_in_time(&stack).await;
    stack.pg.start().await;
    stack.enable().await;
    stack.pg.execute("SELECT sr_event_writer_pause()").await;
    assert_stops_in_time(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_while_a_trigger_sleeps() {
    let stack = Stack::builder()
        .setting("sr_event_writer.insert_timeout", "1h")
        .start()
        .await;
    stack
        .pg
        .execute(
            "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM pg_sleep(600); RETURN NEW; END$$;
             CREATE TRIGGER sleep BEFORE INSERT ON timeseries_metrics
                FOR EACH ROW EXECUTE FUNCTION sleep()",
        )
        .await;
    publish(&stack, Feed::Telemetry, 0..5).await;
    let worker = stack.pg.worker_pid().await;
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {worker} AND wait_event = 'PgSleep'"
    );
    eventually(SOON, "the trigger sleeps", async || {
        stack.pg.value::<i64>(&sql).await == 1
    })
    .await;
    assert_stops_in_time(&stack).await;
    stack.pg.start().await;
    stack
        .pg
        .execute("DROP TRIGGER sleep ON timeseries_metrics")
        .await;
    stack.expect_rows(Feed::Telemetry, 5, REST).await;
}
