//! By what belongs to a session: that of whoever replays, and the settings of the database.

use super::attack::{ATTACK_BEFORE_EACH_ROW, Attack, operators};
use super::{BOTH, HIS_FIRST, refused};
use pg_test::stack::{SOON, Stack};
use tokio_postgres::Client;

/// A session that replays has settings, temporary objects and a transaction of its own.
#[tokio::test(flavor = "multi_thread")]
async fn by_way_of_a_replay() {
    let builder = Stack::builder().plain_tables().without_keys();
    let mut attack = Attack::built(
        builder,
        HIS_FIRST,
        &format!(
            "ALTER TABLE platform.logs ADD CONSTRAINT nothing CHECK (body IS NULL); {}",
            operators()
        ),
    )
    .await;
    attack.dead_letters().await;
    attack
        .stack
        .pg
        .execute(&format!(
            "ALTER TABLE platform.logs DROP CONSTRAINT nothing;
             {ATTACK_BEFORE_EACH_ROW}
             GRANT EXECUTE ON FUNCTION
                sr_event_writer_replay(text, bigint[], integer, boolean) TO other_owner"
        ))
        .await;
    let session = attack.stack.pg.connect_as("other_owner", "postgres").await;
    session
        .batch_execute("SET application_name = 'replay'")
        .await
        .unwrap();
    let settings = "SELECT pg_catalog.string_agg(name || '=' || setting, ' ' ORDER BY name)
        FROM pg_catalog.pg_settings WHERE pg_catalog.strpos(name, '.') OPERATOR(pg_catalog.=) 0";
    let before: String = session.query_one(settings, &[]).await.unwrap().get(0);
    assert_eq!(replay(&session).await, None);
    let after: String = session.query_one(settings, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
    attack.nothing_was_gained_in_a_session().await;
}

/// Payloads are closed to whoever may only replay them, and nothing of them is lost in his session.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_temporary_table_that_a_replay_would_find() {
    let mut attack =
        Attack::prepared("ALTER TABLE platform.logs ADD CONSTRAINT nothing CHECK (body IS NULL)")
            .await;
    attack.dead_letters().await;
    attack
        .stack
        .pg
        .execute(
            "ALTER TABLE platform.logs RENAME TO away;
             GRANT EXECUTE ON FUNCTION
                sr_event_writer_replay(text, bigint[], integer, boolean) TO other_owner",
        )
        .await;
    let session = attack.stack.pg.connect_as("other_owner", "postgres").await;
    session
        .batch_execute(
            "CREATE TEMP TABLE logs (\"timestamp\" timestamptz, trace_id text, span_id text, body text);
             CREATE TEMP TABLE dead_letter (n integer); CREATE TEMP TABLE pg_class (n integer)",
        )
        .await
        .unwrap();
    let why = replay(&session).await.expect("not replayed");
    assert!(why.contains("does not exist"), "{why}");
    let rows = session.query_one("SELECT count(*) FROM pg_temp.logs", &[]);
    assert_eq!(rows.await.unwrap().get::<_, i64>(0), 0);
}

/// Replays one letter, and tells why it was not.
async fn replay(session: &Client) -> Option<String> {
    let sql = "SELECT error FROM sr_event_writer_replay(\"limit\" => 1)";
    session.query_one(sql, &[]).await.expect("replay").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn by_what_the_owner_of_the_database_sets_for_its_sessions() {
    let sql = format!(
        "{ATTACK_BEFORE_EACH_ROW} {}
         RESET ROLE; ALTER DATABASE postgres OWNER TO app; SET ROLE app",
        operators()
    );
    let mut attack = Attack::prepared(&sql).await;
    let session = attack.stack.pg.connect_as("app", "postgres").await;
    let set = "ALTER DATABASE postgres SET";
    for forbidden in [
        "session_preload_libraries = 'auto_explain'",
        "session_replication_role = replica",
        "log_statement = 'all'",
        "sr_event_writer.enabled = off",
    ] {
        let state = refused(&session, &format!("{set} {forbidden}")).await;
        assert!(
            ["42501", "55P02", "22023"].contains(&&*state),
            "{forbidden}: {state}"
        );
    }
    for allowed in [
        "search_path = platform, pg_catalog, public",
        "role = app",
        "row_security = off",
        "synchronous_commit = remote_apply",
        "default_transaction_read_only = on",
        "default_transaction_isolation = serializable",
        "statement_timeout = '1ms'",
        "transaction_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "exit_on_error = on",
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = off",
        "transform_null_equals = on",
        "quote_all_identifiers = on",
        "bytea_output = escape",
        "debug_parallel_query = on",
    ] {
        session
            .batch_execute(&format!("{set} {allowed}"))
            .await
            .unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    attack.take_stock().await;
    let old = attack.stack.pg.worker_pid().await;
    attack
        .stack
        .pg
        .execute("SELECT sr_event_writer_restart()")
        .await;
    pg_test::wait::eventually(SOON, "the old worker is gone", async || {
        !pg_test::process::alive(old)
    })
    .await;
    attack.withstands(&BOTH).await;
    for (name, value) in [
        ("synchronous_commit", "off"),
        ("default_transaction_read_only", "off"),
        ("transaction_timeout", "0"),
        ("exit_on_error", "off"),
        ("client_encoding", "UTF8"),
        ("row_security", "on"),
    ] {
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM public.witnessed
             WHERE pg_catalog.strpos(what, '{name}={value}') OPERATOR(pg_catalog.>) 0"
        );
        assert!(attack.stack.pg.value::<i64>(&sql).await > 0, "{name}");
    }
}
