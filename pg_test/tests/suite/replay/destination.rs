//! Which rows a replay writes, to which table, and as whom.

use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

use super::{FEED, letters, replay, replay_on};

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
