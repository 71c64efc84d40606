//! Dead letters are resolved: replayed, each exactly once, or discarded.

use pg_test::feed::Feed;
use pg_test::messages::{Defect, Generator, Message};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal};

/// Netflow has no unique key, so a row that is written twice is there twice.
const FEED: Feed = Feed::Netflow;

/// One row of `sr_event_writer_replay`.
#[derive(Debug, PartialEq)]
struct Outcome {
    id: i64,
    ok: bool,
    table: Option<String>,
    rows: Option<i64>,
    error: String,
}

async fn replay_on(client: &tokio_postgres::Client, arguments: &str) -> Vec<Outcome> {
    let sql = format!("SELECT * FROM sr_event_writer_replay({arguments})");
    let rows = client.query(&sql, &[]).await;
    let rows = rows.unwrap_or_else(|e| panic!("{}", pg_test::postgres::Failure::from(e)));
    let outcome = |row: &tokio_postgres::Row| Outcome {
        id: row.get(0),
        ok: row.get(1),
        table: row.get(2),
        rows: row.get(3),
        error: row.get::<_, Option<String>>(4).unwrap_or_default(),
    };
    rows.iter().map(outcome).collect()
}

async fn replay(stack: &Stack, arguments: &str) -> Vec<Outcome> {
    replay_on(&stack.pg.connect().await, arguments).await
}

fn ids(outcomes: &[Outcome]) -> Vec<i64> {
    outcomes.iter().map(|outcome| outcome.id).collect()
}

/// Ten netflow messages, of which a CHECK constraint has refused those with odd numbers.
async fn five_refused() -> Stack {
    let stack = Stack::builder().disabled().start().await;
    stack
        .pg
        .execute("ALTER TABLE netflow_metrics ADD CONSTRAINT even CHECK (octets % 2 = 0)")
        .await;
    let messages = Generator::new(41).range(FEED, 0..10);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    letters(&stack, 5).await;
    stack.expect_rows(FEED, 5, SOON).await;
    stack
}

async fn letters(stack: &Stack, count: i64) {
    eventually_equal(SOON, "dead letters", count, async || {
        let sql = "SELECT count(*) FROM sr_event_writer.dead_letter";
        stack.pg.try_value(sql).await
    })
    .await;
}

async fn mend(stack: &Stack) {
    stack
        .pg
        .execute("ALTER TABLE netflow_metrics DROP CONSTRAINT even")
        .await;
}

async fn resolutions(stack: &Stack) -> Vec<Option<String>> {
    let sql = "SELECT resolution, resolved_at IS NOT NULL FROM sr_event_writer.dead_letter
               ORDER BY id";
    let rows = stack.pg.query(sql, &[]).await;
    let resolution = |row: &tokio_postgres::Row| {
        let resolution: Option<String> = row.get(0);
        assert_eq!(
            resolution.is_some(),
            row.get::<_, bool>(1),
            "resolution and its time"
        );
        resolution
    };
    rows.iter().map(resolution).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_table_takes_the_letters_once() {
    let stack = five_refused().await;
    // They still fail: nothing changes, and each reports the reason.
    let outcomes = replay(&stack, "").await;
    assert_eq!(ids(&outcomes), [1, 2, 3, 4, 5]);
    for outcome in &outcomes {
        assert!(!outcome.ok && outcome.rows.is_none(), "{outcome:?}");
        assert!(outcome.error.contains("even"), "{outcome:?}");
        assert!(outcome.error.contains("23514"), "{outcome:?}");
    }
    assert_eq!(stack.rows(FEED).await.unwrap(), 5);

    mend(&stack).await;
    let trial = replay(&stack, "dry_run => true").await;
    assert!(trial.iter().all(|outcome| outcome.ok), "{trial:?}");
    assert_eq!(stack.rows(FEED).await.unwrap(), 5);
    assert_eq!(resolutions(&stack).await, [const { None }; 5]);

    let outcomes = replay(&stack, "").await;
    assert_eq!(outcomes, trial, "what the trial had said");
    assert_eq!(outcomes[0].table.as_deref(), Some("public.netflow_metrics"));
    assert_eq!(outcomes[0].rows, Some(1));
    assert_eq!(
        resolutions(&stack).await,
        [const { Some("replayed") }; 5].map(|r| r.map(str::to_owned))
    );
    assert_eq!(replay(&stack, "").await, []);
    assert_eq!(replay(&stack, "ids => ARRAY[1, 2, 3]").await, []);
    stack.expect_rows(FEED, 10, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_still_bad_costs_no_other() {
    let stack = five_refused().await;
    mend(&stack).await;
    // Octets 5 is letter 3.
    stack
        .pg
        .execute("ALTER TABLE netflow_metrics ADD CONSTRAINT five CHECK (octets <> 5)")
        .await;
    let broken = Generator::new(42).broken(FEED, 1, Defect::Truncated);
    stack.nats.publish_messages([broken]).await;
    letters(&stack, 6).await;

    let outcomes = replay(&stack, "").await;
    let ok: Vec<bool> = outcomes.iter().map(|outcome| outcome.ok).collect();
    assert_eq!(ok, [true, true, false, true, true, false], "{outcomes:?}");
    assert!(outcomes[2].error.contains("five"), "{outcomes:?}");
    assert!(outcomes[5].error.contains("22000"), "{outcomes:?}");
    let done = || Some("replayed".to_owned());
    assert_eq!(
        resolutions(&stack).await,
        [done(), done(), None, done(), done(), None]
    );
    stack.expect_rows(FEED, 9, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_chosen_by_pipeline_by_number_and_some_at_a_time() {
    let stack = five_refused().await;
    mend(&stack).await;
    assert_eq!(replay(&stack, "'logs'").await, []);
    assert_eq!(
        ids(&replay(&stack, "'netflow', ids => ARRAY[4, 99, NULL]").await),
        [4]
    );
    assert_eq!(ids(&replay(&stack, "\"limit\" => 2").await), [1, 2]);
    assert_eq!(ids(&replay(&stack, "'netflow', ARRAY[1, 4, 5]").await), [5]);
    stack.expect_rows(FEED, 9, SOON).await;
    stack
        .pg
        .execute("BEGIN; SELECT sr_event_writer_replay(); ROLLBACK")
        .await;
    stack.expect_rows(FEED, 9, SOON).await;
    assert_eq!(ids(&replay(&stack, "").await), [3], "it was rolled back");
    stack.expect_rows(FEED, 10, SOON).await;
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
    // Two letters are written, and the third one takes for ever.
    stack
        .pg
        .execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
             CREATE TRIGGER dawdle BEFORE INSERT ON netflow_metrics
             FOR EACH ROW WHEN (NEW.octets = 5) EXECUTE FUNCTION dawdle()",
        )
        .await;
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
    stack
        .pg
        .execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
             CREATE TRIGGER dawdle BEFORE INSERT ON netflow_metrics
             FOR EACH ROW WHEN (NEW.octets = 5) EXECUTE FUNCTION dawdle()",
        )
        .await;
    let client = stack.pg.connect().await;
    client
        .batch_execute("SET statement_timeout = '1s'")
        .await
        .unwrap();
    let failure = client
        .query("SELECT sr_event_writer_replay()", &[])
        .await
        .unwrap_err();
    assert_eq!(
        pg_test::postgres::Failure::from(failure).sqlstate(),
        "57014"
    );
    // The session is usable, and nothing was done.
    client.batch_execute("SELECT 1").await.unwrap();
    stack.expect_rows(FEED, 5, SOON).await;
    assert_eq!(resolutions(&stack).await, [const { None }; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_and_times_are_those_of_the_first_time() {
    let stack = Stack::builder().disabled().start().await;
    // No span id and no time: both are derived from the message's place and publish time.
    let bare = || Message::plain("logs.bare", r#"{"body":"bare"}"#);
    stack.nats.publish_messages([bare(), bare()]).await;
    stack
        .pg
        .execute(
            "CREATE TABLE seen AS SELECT * FROM logs;
             ALTER TABLE logs ADD CONSTRAINT none CHECK (body <> 'bare')",
        )
        .await;
    stack.enable().await;
    letters(&stack, 2).await;
    stack
        .pg
        .execute("ALTER TABLE logs DROP CONSTRAINT none")
        .await;
    let outcomes = replay(&stack, "").await;
    assert!(outcomes.iter().all(|outcome| outcome.ok), "{outcomes:?}");
    // The worker reads them again, as others: the same rows, which the primary key refuses.
    stack
        .pg
        .execute(
            "UPDATE sr_event_writer.dead_letter SET resolved_at = NULL, resolution = NULL;
             INSERT INTO seen SELECT * FROM logs; TRUNCATE logs",
        )
        .await;
    stack
        .pg
        .execute(
            "SELECT sr_event_writer_pause('logs');
             SELECT sr_event_writer_seek('logs', 1, true); SELECT sr_event_writer_resume('logs')",
        )
        .await;
    eventually_equal(SOON, "rows", 2, async || stack.rows(Feed::Logs).await).await;
    let sql = "SELECT count(*) FROM logs JOIN seen USING (timestamp, trace_id, span_id)";
    assert_eq!(stack.pg.value::<i64>(sql).await, 2);
    let outcomes = replay(&stack, "").await;
    let rows: Vec<_> = outcomes.iter().map(|outcome| outcome.rows).collect();
    assert_eq!(rows, [Some(0), Some(0)], "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_to_the_worker_s_table_as_its_owner_whatever_the_caller_s_path_is() {
    let stack = Stack::builder().disabled().without_tables().start().await;
    stack
        .pg
        .execute(
            "CREATE SCHEMA platform; CREATE ROLE app; GRANT ALL ON SCHEMA platform TO app;
             ALTER DATABASE postgres SET search_path = platform, public",
        )
        .await;
    let client = stack.pg.connect().await;
    client
        .batch_execute(
            "SELECT sr_event_writer_create_tables('platform');
             ALTER TABLE netflow_metrics OWNER TO app;
             CREATE TABLE platform.written (by name); ALTER TABLE platform.written OWNER TO app;
             CREATE FUNCTION platform.who() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.octets = 1 AND NOT EXISTS (SELECT FROM written) THEN
                     RAISE EXCEPTION 'not yet';
                 END IF;
                 INSERT INTO written VALUES (current_user); RETURN NEW; END $$;
             CREATE TRIGGER who BEFORE INSERT ON netflow_metrics
                 FOR EACH ROW EXECUTE FUNCTION platform.who();",
        )
        .await
        .unwrap();
    // The worker's session has to begin after the change to the path.
    stack.pg.restart().await;
    let messages = Generator::new(43).range(FEED, 1..2);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    letters(&stack, 1).await;

    let client = stack.pg.connect().await;
    client
        .batch_execute(
            "INSERT INTO platform.written VALUES ('somebody');
             CREATE ROLE operator LOGIN;
             GRANT EXECUTE ON FUNCTION sr_event_writer_replay TO operator",
        )
        .await
        .unwrap();
    let operator = stack.pg.connect_as("operator", "postgres").await;
    operator
        .batch_execute(
            "CREATE TEMP TABLE netflow_metrics (nothing text);
             CREATE TEMP TABLE written (nothing text); SET search_path = public",
        )
        .await
        .unwrap();
    let outcomes = replay_on(&operator, "").await;
    assert_eq!(
        outcomes[0].table.as_deref(),
        Some("platform.netflow_metrics"),
        "{outcomes:?}"
    );
    let sql = "SELECT string_agg(by, ' ' ORDER BY by) FROM platform.written";
    assert_eq!(stack.pg.value::<String>(sql).await, "app somebody");
    let path = operator.query_one("SHOW search_path", &[]).await.unwrap();
    assert_eq!(path.get::<_, String>(0), "public");
}

#[tokio::test(flavor = "multi_thread")]
async fn discarded_letters_are_resolved_and_never_replayed() {
    let stack = five_refused().await;
    mend(&stack).await;
    let sql = "SELECT sr_event_writer_discard(ARRAY[2, 3, 3, NULL, 77])";
    assert_eq!(stack.pg.value::<i64>(sql).await, 2);
    assert_eq!(stack.pg.value::<i64>(sql).await, 0, "once is enough");
    assert_eq!(resolutions(&stack).await[1].as_deref(), Some("discarded"));
    assert_eq!(ids(&replay(&stack, "").await), [1, 4, 5]);
    let sql = "SELECT sr_event_writer_discard(ARRAY[1])";
    assert_eq!(stack.pg.value::<i64>(sql).await, 0, "it was replayed");
    stack.expect_rows(FEED, 8, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_was_granted_it_may_replay_discard_move_wait_and_restart() {
    let stack = five_refused().await;
    mend(&stack).await;
    stack
        .pg
        .execute("CREATE ROLE nobody_special LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
        .await;
    let calls = [
        "SELECT sr_event_writer_wait('netflow', 1)",
        "SELECT sr_event_writer_restart()",
        "SELECT * FROM sr_event_writer_replay(dry_run => true)",
        "SELECT * FROM sr_event_writer_replay(ids => ARRAY[1])",
        "SELECT sr_event_writer_discard(ARRAY[2])",
        "SELECT sr_event_writer_pause('netflow')",
        "SELECT sr_event_writer_seek('netflow', 1)",
        "SELECT sr_event_writer_seek('netflow', now())",
    ];
    for role in ["nobody_special", "watcher"] {
        let client = stack.pg.connect_as(role, "postgres").await;
        for sql in calls {
            let failure = client.batch_execute(sql).await.unwrap_err();
            let failure = pg_test::postgres::Failure::from(failure);
            assert_eq!(failure.sqlstate(), "42501", "{role}: {sql}: {failure}");
        }
    }
    stack
        .pg
        .execute(
            "GRANT EXECUTE ON FUNCTION sr_event_writer_wait, sr_event_writer_restart,
                 sr_event_writer_replay, sr_event_writer_discard, sr_event_writer_pause,
                 sr_event_writer_seek(text, bigint, boolean),
                 sr_event_writer_seek(text, timestamptz, boolean) TO nobody_special",
        )
        .await;
    let client = stack.pg.connect_as("nobody_special", "postgres").await;
    for sql in calls {
        let done = client.batch_execute(sql).await;
        done.unwrap_or_else(|e| panic!("{sql}: {}", pg_test::postgres::Failure::from(e)));
    }
    eventually(SOON, "letter 1 is replayed", async || {
        resolutions(&stack).await[0].as_deref() == Some("replayed")
    })
    .await;
}
