//! Sessions that replay at the same time, that crash, and that are cancelled.

use pg_test::postgres::Failure;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

use super::{FEED, five_refused, ids, mend, replay, replay_on, resolutions};

/// Makes the third letter take for ever, once two are written.
async fn delay_third(stack: &Stack) {
    stack
        .pg
        .execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
             CREATE TRIGGER dawdle BEFORE INSERT ON netflow_metrics
             FOR EACH ROW WHEN (NEW.octets = 5) EXECUTE FUNCTION dawdle()",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_that_replay_the_same_letters_write_each_once() {
    let stack = five_refused().await;
    mend(&stack).await;
    let first = stack.pg.connect().await;
    first.batch_execute("BEGIN").await.unwrap();
    assert_eq!(ids(&replay_on(&first, "ids => ARRAY[1, 2]").await), [1, 2]);
    // It neither waits for the first one nor does its work again.
    assert_eq!(ids(&replay(&stack, "").await), [3, 4, 5]);
    first.batch_execute("COMMIT").await.unwrap();
    stack.expect_rows(FEED, 10, SOON).await;

    stack
        .pg
        .execute(
            "UPDATE sr_event_writer.dead_letter SET resolved_at = NULL, resolution = NULL;
             TRUNCATE netflow_metrics",
        )
        .await;
    let together = (0..8).map(|_| replay(&stack, ""));
    let mut all = Vec::new();
    for outcomes in futures_util::future::join_all(together).await {
        all.extend(ids(&outcomes));
    }
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5]);
    stack.expect_rows(FEED, 5, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_a_replay_done_or_not_done() {
    let stack = five_refused().await;
    mend(&stack).await;
    delay_third(&stack).await;
    let client = stack.pg.connect().await;
    let running = tokio::spawn(async move {
        let sql = "SELECT * FROM sr_event_writer_replay()";
        client.query(sql, &[]).await.map(drop)
    });
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually_equal(SOON, "sleepers", 1_i64, async || {
        stack.pg.try_value(sql).await
    })
    .await;
    stack.pg.kill_all().await;
    running.await.unwrap().unwrap_err();
    stack.pg.start().await;
    stack.expect_rows(FEED, 5, SOON).await;
    assert_eq!(resolutions(&stack).await, [const { None }; 5]);

    stack
        .pg
        .execute("DROP TRIGGER dawdle ON netflow_metrics")
        .await;
    assert_eq!(ids(&replay(&stack, "").await), [1, 2, 3, 4, 5]);
    stack.pg.kill_all().await;
    stack.pg.start().await;
    assert_eq!(replay(&stack, "").await, []);
    stack.expect_rows(FEED, 10, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_replay_is_undone_as_a_whole() {
    let stack = five_refused().await;
    mend(&stack).await;
    delay_third(&stack).await;
    let client = stack.pg.connect().await;
    client
        .batch_execute("SET statement_timeout = '1s'")
        .await
        .unwrap();
    let failure = client
        .query("SELECT sr_event_writer_replay()", &[])
        .await
        .unwrap_err();
    assert_eq!(Failure::from(failure).sqlstate(), "57014");
    // The session is usable, and nothing was done.
    client.batch_execute("SELECT 1").await.unwrap();
    stack.expect_rows(FEED, 5, SOON).await;
    assert_eq!(resolutions(&stack).await, [const { None }; 5]);
}
