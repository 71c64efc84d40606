//! Replay runs with the rights of the extension's owner in somebody else's transaction: it changes
//! nothing of the caller's, and nothing that the destination's owner does there lasts.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;
use tokio_postgres::Client;

const FEED: Feed = Feed::Logs;

/// Three letters, a table of the role `op` with a deferred trigger, and an owner of the destination
/// whose trigger changes settings.
async fn three_letters() -> Stack {
    let stack = Stack::builder().plain_tables().disabled().start().await;
    stack
        .pg
        .execute("ALTER TABLE logs ADD CONSTRAINT nothing CHECK (body IS NULL)")
        .await;
    let messages = Generator::new(92).range(FEED, 0..3);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    eventually_equal(SOON, "dead letters", 3, async || {
        stack.dead_letters(FEED).await
    })
    .await;
    stack
        .pg
        .execute(
            "ALTER TABLE logs DROP CONSTRAINT nothing;
             CREATE ROLE app; CREATE ROLE op LOGIN;
             ALTER TABLE logs OWNER TO app;
             GRANT EXECUTE ON FUNCTION
                sr_event_writer_replay(text, bigint[], integer, boolean) TO op;
             CREATE FUNCTION hostile() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                PERFORM set_config('lock_timeout', '77s', false);
                PERFORM set_config('search_path', 'public, pg_catalog', false);
                RETURN NEW;
             END $$;
             CREATE TRIGGER hostile BEFORE INSERT ON logs
                FOR EACH ROW EXECUTE FUNCTION hostile();
             CREATE TABLE fired (who text, super boolean);
             GRANT ALL ON fired TO op;
             CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                INSERT INTO public.fired SELECT current_user, rolsuper FROM pg_roles
                    WHERE rolname = current_user;
                RETURN NULL;
             END $$;
             CREATE TABLE mine (n integer);
             ALTER TABLE mine OWNER TO op;
             CREATE CONSTRAINT TRIGGER fire AFTER INSERT ON mine DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION fire()",
        )
        .await;
    stack
}

async fn replay_one(client: &Client) {
    let sql = "SELECT ok, error FROM sr_event_writer_replay(\"limit\" => 1)";
    let row = client.query_one(sql, &[]).await.expect("replay");
    let error: Option<String> = row.get(1);
    assert!(row.get::<_, bool>(0), "{error:?}");
}

/// Returns how often the deferred trigger has run, and whether always as its own role.
async fn fired(client: &Client) -> (i64, bool) {
    let sql = "SELECT count(*), coalesce(bool_and(who = 'op' AND NOT super), true) FROM fired";
    let row = client.query_one(sql, &[]).await.expect("look");
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_neither_fires_what_the_caller_has_deferred_nor_changes_his_session() {
    let stack = three_letters().await;
    let op = stack.pg.connect_as("op", "postgres").await;
    // PL/pgSQL's settings exist only after its first use.
    let settings = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings
        WHERE name NOT LIKE '%.%'";
    let before: String = op.query_one(settings, &[]).await.unwrap().get(0);
    // Put off before, and put off after.
    for (number, order) in [["INSERT", "REPLAY"], ["REPLAY", "INSERT"]]
        .iter()
        .enumerate()
    {
        let known = number as i64;
        op.batch_execute("BEGIN").await.unwrap();
        for step in order {
            match *step {
                "INSERT" => op
                    .batch_execute("INSERT INTO mine VALUES (1)")
                    .await
                    .unwrap(),
                _ => replay_one(&op).await,
            }
            assert_eq!(fired(&op).await, (known, true), "{order:?} {step}");
        }
        op.batch_execute("COMMIT").await.unwrap();
        assert_eq!(fired(&op).await, (known + 1, true), "{order:?}");
    }
    let after: String = op.query_one(settings, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
    assert_eq!(stack.rows(FEED).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_trigger_of_the_destination_runs_in_replay_as_its_owner() {
    let stack = three_letters().await;
    stack
        .pg
        .execute(
            "GRANT INSERT ON fired TO app;
             CREATE CONSTRAINT TRIGGER fire AFTER INSERT ON logs DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION fire()",
        )
        .await;
    let op = stack.pg.connect_as("op", "postgres").await;
    replay_one(&op).await;
    let sql = "SELECT who || ' ' || super FROM fired";
    let who: String = stack.pg.value(sql).await;
    assert_eq!(who, "app false");
}
