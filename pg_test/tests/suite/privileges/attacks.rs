//! The owner of a destination, of its schema or of the database tries to gain rights. Each test is
//! one place where the owner's code is called: it runs only as that owner, and leaves nothing
//! behind. Where both COPY and INSERT call it, the test covers both.

mod ground;

use ground::{COPY, Ground, INSERT, operators};
use pg_test::stack::{SOON, Stack};
use std::time::Duration;
use tokio_postgres::Client;

const BOTH: [&str; 2] = [COPY, INSERT];
const INSERTED: [&str; 1] = [INSERT];
/// The path that makes the attacker's operators the first that are found.
const HIS_FIRST: &str = "platform, pg_catalog, public";

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_before_each_row_and_operators_for_whoever_keeps_his_search_path() {
    let sql = format!(
        "CREATE TRIGGER fire BEFORE INSERT ON platform.logs
            FOR EACH ROW EXECUTE FUNCTION platform.fire('trigger'); {}",
        operators()
    );
    let mut ground = Ground::prepared(&sql).await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_after_the_statement() {
    let mut ground = Ground::prepared(
        "CREATE TRIGGER fire AFTER INSERT ON platform.logs
            FOR EACH STATEMENT EXECUTE FUNCTION platform.fire('trigger')",
    )
    .await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_that_makes_the_transaction_read_only() {
    let mut ground = Ground::prepared(
        "CREATE FUNCTION platform.close() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM platform.attack('trigger');
            SET transaction_read_only = on;
            RETURN NULL;
         END $$;
         CREATE TRIGGER fire AFTER INSERT ON platform.logs
            FOR EACH STATEMENT EXECUTE FUNCTION platform.close()",
    )
    .await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_constraint_trigger_that_he_puts_off_to_the_commit() {
    let mut ground = Ground::prepared(
        "CREATE FUNCTION platform.put_off() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            SET CONSTRAINTS ALL DEFERRED;
            RETURN NEW;
         END $$;
         CREATE TRIGGER put_off BEFORE INSERT ON platform.logs
            FOR EACH ROW EXECUTE FUNCTION platform.put_off();
         CREATE CONSTRAINT TRIGGER fire AFTER INSERT ON platform.logs DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION platform.fire('deferred trigger')",
    )
    .await;
    ground.is_refused("deferred trigger").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_default() {
    let mut ground = Ground::prepared(
        "ALTER TABLE platform.logs ADD COLUMN hit boolean DEFAULT platform.attack('default')",
    )
    .await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_an_index_expression() {
    let mut ground = Ground::prepared(
        "CREATE INDEX ON platform.logs (platform.pure('index', body));
         CREATE UNIQUE INDEX ON platform.logs (span_id, platform.pure('unique index', body))",
    )
    .await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_an_index_expression_that_is_evaluated_when_the_index_is_looked_at() {
    let mut ground = Ground::prepared(
        "CREATE INDEX ON platform.logs ((platform.pure('constant', 'of no column')))",
    )
    .await;
    ground.provoke().await;
    ground.heard().await;
    ground.nothing_was_gained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_predicate_of_an_index() {
    let mut ground = Ground::prepared(
        "CREATE INDEX ON platform.logs (body) WHERE platform.pure('predicate', body);
         CREATE INDEX ON platform.logs (body) WHERE platform.pure('predicate', 'constant')",
    )
    .await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_check_constraint() {
    let mut ground = Ground::prepared(
        "ALTER TABLE platform.logs ADD CHECK (platform.attack('check'));
         ALTER TABLE platform.logs ADD CHECK (platform.pure('check', 'constant'))",
    )
    .await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_domain() {
    let mut ground = Ground::prepared(
        "CREATE DOMAIN platform.words AS text DEFAULT 'word'
            CHECK (platform.pure('domain', VALUE));
         ALTER TABLE platform.logs ALTER body TYPE platform.words;
         ALTER TABLE platform.logs ADD COLUMN more platform.words",
    )
    .await;
    ground.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_domain_that_no_message_has_a_value_for() {
    let mut ground = Ground::prepared(
        "CREATE DOMAIN platform.words AS text DEFAULT 'word'
            CHECK (platform.pure('domain', VALUE));
         ALTER TABLE platform.logs ADD COLUMN more platform.words",
    )
    .await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_generated_column() {
    let mut ground = Ground::prepared(
        "ALTER TABLE platform.logs ADD COLUMN hit boolean
            GENERATED ALWAYS AS (platform.pure('generated', body)) STORED",
    )
    .await;
    ground.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_cast_to_a_type_of_his_own() {
    let mut ground = Ground::prepared(
        "CREATE TYPE platform.pair AS (word text);
         CREATE FUNCTION platform.to_pair(word text) RETURNS platform.pair LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM platform.attack('cast');
            RETURN ROW(word)::platform.pair;
         END $$;
         CREATE CAST (text AS platform.pair) WITH FUNCTION platform.to_pair AS IMPLICIT;
         ALTER TABLE platform.logs ALTER body TYPE platform.pair USING NULL",
    )
    .await;
    ground.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_rule_beside_the_row() {
    let mut ground = Ground::prepared(
        "CREATE TABLE platform.also (hit boolean);
         CREATE RULE also AS ON INSERT TO platform.logs
            DO ALSO INSERT INTO platform.also VALUES (platform.attack('rule'))",
    )
    .await;
    ground.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_rule_that_takes_the_place_of_the_row() {
    let mut ground = Ground::prepared(
        "ALTER TABLE platform.logs RENAME TO instead;
         CREATE TABLE platform.logs (LIKE platform.instead INCLUDING DEFAULTS);
         ALTER TABLE platform.instead ADD COLUMN hit boolean;
         CREATE RULE instead AS ON INSERT TO platform.logs
            DO INSTEAD INSERT INTO platform.instead (\"timestamp\", trace_id, span_id, hit)
            VALUES (NEW.timestamp, NEW.trace_id, NEW.span_id, platform.attack('rule'));
         CREATE RULE instead_of_reading AS ON DELETE TO platform.logs DO INSTEAD NOTHING",
    )
    .await;
    ground.ours().await;
    ground.many_of_theirs().await;
    ground.heard().await;
    ground.few_of_theirs().await;
    ground.ours().await;
    ground.nothing_was_gained().await;
}

/// A table of the attacker's, behind a view of the name that is looked for.
fn view(options: &str, check: &str) -> String {
    format!(
        "ALTER TABLE platform.logs RENAME TO behind;
         ALTER TABLE platform.behind ALTER created_at DROP NOT NULL;
         CREATE VIEW platform.logs {options} AS SELECT * FROM platform.behind {check}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_instead_of_a_views_row() {
    let trigger = "CREATE FUNCTION platform.instead() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM platform.attack('view');
            INSERT INTO platform.behind SELECT NEW.*;
            RETURN NEW;
         END $$;
         CREATE TRIGGER fire INSTEAD OF INSERT ON platform.logs
            FOR EACH ROW EXECUTE FUNCTION platform.instead()";
    let mut ground = Ground::prepared(&format!("{}; {trigger}", view("", ""))).await;
    ground.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_condition_of_a_view() {
    let sql = view("", "WHERE platform.attack('view') WITH CHECK OPTION");
    let mut ground = Ground::prepared(&sql).await;
    ground.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_condition_of_a_view_that_reads_as_its_invoker() {
    let sql = view(
        "WITH (security_invoker)",
        "WHERE platform.attack('view') WITH CHECK OPTION",
    );
    let mut ground = Ground::prepared(&sql).await;
    ground.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_view_of_a_table_that_he_may_not_write() {
    for options in ["", "WITH (security_invoker)"] {
        let sql = format!(
            "ALTER TABLE platform.logs RENAME TO old;
             RESET ROLE; CREATE TABLE public.behind (LIKE platform.old); SET ROLE app;
             CREATE VIEW platform.logs {options} AS SELECT * FROM public.behind"
        );
        let mut ground = Ground::prepared(&sql).await;
        ground.is_refused("permission denied").await;
        let rows: i64 = ground
            .stack
            .pg
            .value("SELECT count(*) FROM public.behind")
            .await;
        assert_eq!(rows, 0, "rows in a table that is not his ({options})");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_row_security_policy() {
    let mut ground = Ground::prepared(
        "ALTER TABLE platform.logs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY mine ON platform.logs USING (platform.attack('using'))
            WITH CHECK (platform.attack('policy'))",
    )
    .await;
    ground.withstands(&INSERTED).await;
}

/// Only a superuser can make one; this one calls what the attacker owns.
#[tokio::test(flavor = "multi_thread")]
async fn by_an_event_trigger_that_calls_what_is_his() {
    let events = ["ddl_command_start", "ddl_command_end", "sql_drop", "login"];
    let triggers = events.map(|event| {
        format!(
            "CREATE EVENT TRIGGER {event}_fire ON {event} EXECUTE FUNCTION platform.on_event();
             ALTER EVENT TRIGGER {event}_fire ENABLE ALWAYS;"
        )
    });
    let sql = format!(
        "CREATE TRIGGER fire BEFORE INSERT ON platform.logs
            FOR EACH ROW EXECUTE FUNCTION platform.fire('trigger');
         CREATE FUNCTION platform.on_event() RETURNS event_trigger LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM platform.attack('event trigger');
         END $$;
         RESET ROLE; {} SET ROLE app",
        triggers.concat()
    );
    // A hypertable needs a chunk for its first row.
    let builder = Stack::builder().without_keys();
    let mut ground = Ground::built(builder, "platform, public", &sql).await;
    ground.withstands(&BOTH).await;
    let session = ground.stack.pg.connect_as("app", "postgres").await;
    let sql = "CREATE EVENT TRIGGER his ON sql_drop EXECUTE FUNCTION platform.on_event()";
    assert_eq!(refused(&session, sql).await, "42501");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_operators_in_a_schema_of_the_search_path() {
    let builder = Stack::builder().plain_tables();
    let mut ground = Ground::built(builder, HIS_FIRST, &operators()).await;
    ground.provoke().await;
    // The tables are looked up again.
    let alter = "ALTER TABLE platform.logs SET (fillfactor = 90)";
    ground.stack.pg.execute(alter).await;
    ground.provoke().await;
    ground.nothing_was_gained().await;
}

/// Temporary types come before all others in a function that does not mention `pg_temp`.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_temporary_type_that_the_code_of_another_owner_finds() {
    let mut ground = Ground::prepared(
        "CREATE FUNCTION platform.hide() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM platform.attack('trigger');
            CREATE DOMAIN pg_temp.word AS text CHECK (platform.pure('temporary type', VALUE));
            RETURN NULL;
         END $$;
         CREATE TRIGGER hide AFTER INSERT ON platform.logs
            FOR EACH STATEMENT EXECUTE FUNCTION platform.hide();
         RESET ROLE; CREATE SCHEMA other AUTHORIZATION other_owner;
         CREATE DOMAIN other.word AS text;
         CREATE FUNCTION other.check_it() RETURNS trigger LANGUAGE plpgsql SET search_path = other AS $$
         BEGIN
            PERFORM 'word'::word;
            RETURN NEW;
         END $$;
         CREATE TRIGGER check_it BEFORE INSERT ON public.netflow_metrics
            FOR EACH ROW EXECUTE FUNCTION other.check_it();
         SET ROLE app",
    )
    .await;
    ground.is_refused("temporary").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_partition_of_another_owner() {
    let mut ground = Ground::prepared(
        "ALTER TABLE platform.logs RENAME TO old;
         CREATE TABLE platform.logs (LIKE platform.old INCLUDING DEFAULTS) PARTITION BY RANGE (\"timestamp\");
         CREATE TABLE platform.part PARTITION OF platform.logs DEFAULT;
         CREATE TRIGGER fire BEFORE INSERT ON platform.part
            FOR EACH ROW EXECUTE FUNCTION platform.fire('partition');
         RESET ROLE; ALTER TABLE platform.part OWNER TO other_owner;
         ALTER FUNCTION platform.fire OWNER TO other_owner; SET ROLE app",
    )
    .await;
    ground.withstands(&BOTH).await;
}

/// A superuser would reach the other server without a password.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_foreign_table_that_comes_back_as_the_superuser() {
    let mut ground = Ground::prepared(
        "RESET ROLE; CREATE EXTENSION postgres_fdw;
         GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO app;
         CREATE TABLE public.behind (LIKE platform.logs); SET ROLE app;
         ALTER TABLE platform.logs RENAME TO old;
         DO $$ BEGIN
            EXECUTE format('CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw
                OPTIONS (host ''127.0.0.1'', port %L, dbname ''postgres'')', current_setting('port'));
         END $$;
         CREATE USER MAPPING FOR PUBLIC SERVER back OPTIONS (user 'postgres');
         CREATE FOREIGN TABLE platform.logs (\"timestamp\" timestamptz, trace_id text, span_id text)
            SERVER back OPTIONS (schema_name 'public', table_name 'behind')",
    )
    .await;
    ground.is_refused("password").await;
    let behind = "SELECT count(*) FROM public.behind";
    assert_eq!(ground.stack.pg.value::<i64>(behind).await, 0);
}

/// A session that replays has settings, temporary objects and a transaction of its own.
#[tokio::test(flavor = "multi_thread")]
async fn by_way_of_a_replay() {
    let builder = Stack::builder().plain_tables().without_keys();
    let mut ground = Ground::built(
        builder,
        HIS_FIRST,
        &format!(
            "ALTER TABLE platform.logs ADD CONSTRAINT nothing CHECK (body IS NULL); {}",
            operators()
        ),
    )
    .await;
    ground.dead_letters().await;
    ground
        .stack
        .pg
        .execute(
            "ALTER TABLE platform.logs DROP CONSTRAINT nothing;
             CREATE TRIGGER fire BEFORE INSERT ON platform.logs
                FOR EACH ROW EXECUTE FUNCTION platform.fire('trigger');
             GRANT EXECUTE ON FUNCTION
                sr_event_writer_replay(text, bigint[], integer, boolean) TO other_owner",
        )
        .await;
    let session = ground.stack.pg.connect_as("other_owner", "postgres").await;
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
    ground.nothing_was_gained_in_a_session().await;
}

/// Payloads are closed to whoever may only replay them, and nothing of them is lost in his session.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_temporary_table_that_a_replay_would_find() {
    let mut ground =
        Ground::prepared("ALTER TABLE platform.logs ADD CONSTRAINT nothing CHECK (body IS NULL)")
            .await;
    ground.dead_letters().await;
    ground
        .stack
        .pg
        .execute(
            "ALTER TABLE platform.logs RENAME TO away;
             GRANT EXECUTE ON FUNCTION
                sr_event_writer_replay(text, bigint[], integer, boolean) TO other_owner",
        )
        .await;
    let session = ground.stack.pg.connect_as("other_owner", "postgres").await;
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

/// Code that ends a session or never ends does not stop other pipelines for good.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_that_wants_the_session_to_end_with_its_error() {
    let mut ground = Ground::prepared(
        "CREATE FUNCTION platform.end_it() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            BEGIN
                SET exit_on_error = on;
            EXCEPTION WHEN insufficient_privilege THEN
                PERFORM platform.attack('trigger');
            END;
            RAISE EXCEPTION 'the end' USING ERRCODE = '42P01';
         END $$;
         CREATE TRIGGER end_it BEFORE INSERT ON platform.logs
            FOR EACH STATEMENT EXECUTE FUNCTION platform.end_it()",
    )
    .await;
    ground.stops_nobody("the end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_that_wants_the_session_to_end_in_time() {
    let mut ground = Ground::prepared(
        "CREATE FUNCTION platform.end_it() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            SET transaction_timeout = '1ms';
            PERFORM pg_sleep(0.1);
            RETURN NEW;
         END $$;
         CREATE TRIGGER end_it BEFORE INSERT ON platform.logs
            FOR EACH STATEMENT EXECUTE FUNCTION platform.end_it()",
    )
    .await;
    ground.stops_nobody("transaction_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_that_does_not_let_itself_be_cancelled() {
    let builder = Stack::builder()
        .plain_tables()
        .without_keys()
        .setting("sr_event_writer.insert_timeout", "1s");
    let mut ground = Ground::built(
        builder,
        "platform, public",
        "CREATE FUNCTION platform.stay() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            LOOP
                BEGIN
                    PERFORM pg_sleep(60);
                EXCEPTION WHEN query_canceled THEN
                    NULL;
                END;
            END LOOP;
         END $$;
         CREATE TRIGGER stay BEFORE INSERT ON platform.logs
            FOR EACH STATEMENT EXECUTE FUNCTION platform.stay()",
    )
    .await;
    ground.ours().await;
    let worker = ground.stack.pg.worker_pid().await;
    ground.few_of_theirs().await;
    ground.is_writing().await;
    // The next process may come to the same table first.
    ground.ours_within(Duration::from_secs(100)).await;
    let now = ground.stack.pg.worker_pid().await;
    assert_ne!(now, worker, "it takes another process");
    ground.nothing_was_gained().await;
}

/// SQLSTATE of a statement that has to be refused.
async fn refused(session: &Client, sql: &str) -> String {
    let error = session.batch_execute(sql).await;
    let error = error.expect_err(sql);
    error.code().map_or("", |code| code.code()).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn by_what_the_owner_of_the_database_sets_for_its_sessions() {
    let sql = format!(
        "CREATE TRIGGER fire BEFORE INSERT ON platform.logs
            FOR EACH ROW EXECUTE FUNCTION platform.fire('trigger'); {}
         RESET ROLE; ALTER DATABASE postgres OWNER TO app; SET ROLE app",
        operators()
    );
    let mut ground = Ground::prepared(&sql).await;
    let session = ground.stack.pg.connect_as("app", "postgres").await;
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
    ground.take_stock().await;
    let old = ground.stack.pg.worker_pid().await;
    ground
        .stack
        .pg
        .execute("SELECT sr_event_writer_restart()")
        .await;
    pg_test::wait::eventually(SOON, "the old worker is gone", async || {
        !pg_test::process::alive(old)
    })
    .await;
    ground.withstands(&BOTH).await;
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
        assert!(ground.stack.pg.value::<i64>(&sql).await > 0, "{name}");
    }
}
