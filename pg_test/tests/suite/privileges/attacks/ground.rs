//! The setting of the attacks: an unprivileged role that owns a destination and its schema, its
//! function that tries everything that lasts or gives rights, and the check afterwards.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{Builder, SOON, Stack};
use pg_test::wait::eventually;
use std::time::Duration;

/// The feed whose table belongs to the attacker `app`, in its schema `platform`.
pub const THEIRS: Feed = Feed::Logs;
/// The feed whose table belongs to the superuser.
pub const OURS: Feed = Feed::Netflow;

/// Number of pending messages that make a batch which is copied.
const COPIED: u64 = 200;
/// So few are inserted.
const INSERTED: u64 = 3;

const NOTHING: [String; 0] = [];

/// The way by which the attack was called: COPY.
pub const COPY: &str = "COPY";
/// The way by which the attack was called: INSERT.
pub const INSERT: &str = "INSERT";

/// Statements that would last, or give other rights. Each is refused with 42501.
const FORBIDDEN: &str = "
    RESET ROLE; SET ROLE postgres; SET LOCAL ROLE none; SET SESSION AUTHORIZATION postgres;
    RESET SESSION AUTHORIZATION; SET SESSION SESSION AUTHORIZATION DEFAULT;
    SELECT set_config('role', 'postgres', false);
    SELECT set_config('session_authorization', 'postgres', false);
    SET session_replication_role = replica; SET session_preload_libraries = 'auto_explain';
    ALTER ROLE app SUPERUSER; CREATE ROLE other SUPERUSER; GRANT pg_monitor TO app;
    CREATE EXTENSION file_fdw; CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION platform.fire();
    CREATE FUNCTION platform.c() RETURNS void LANGUAGE c AS 'sr_event_writer';
    SELECT FROM sr_event_writer.dead_letter; DELETE FROM sr_event_writer.stream_position;
    SELECT sr_event_writer_replay(); SELECT FROM pg_authid;
    CREATE TEMP TABLE pg_class (n integer); CREATE TEMP TABLE logs (n integer);
    CREATE TEMP VIEW pg_trigger AS SELECT 1; CREATE TEMP SEQUENCE pg_type;
    LISTEN hidden; UNLISTEN *; PREPARE hidden AS SELECT 1; DEALLOCATE ALL;
    DECLARE hidden CURSOR WITH HOLD FOR SELECT 1; DISCARD PLANS; DISCARD TEMP; DISCARD ALL;
    COPY platform.heard TO PROGRAM 'true'; COPY platform.heard TO '/tmp/heard'; CHECKPOINT;
    SELECT pg_read_file('PG_VERSION'); SELECT pg_terminate_backend(pg_backend_pid());
    SELECT pg_reload_conf(); LOAD 'auto_explain'";

/// Settings that anybody may change for the rest of their own session.
const ALLOWED: &str = "
    SET row_security = off; SET synchronous_commit = remote_apply; SET lock_timeout = '77s';
    SET statement_timeout = '78s'; SET transaction_timeout = '79s'; SET work_mem = '80MB';
    SET default_transaction_read_only = on; SET default_transaction_isolation = serializable;
    SET client_encoding = 'SQL_ASCII'; SET DateStyle = 'German'; SET bytea_output = 'escape';
    SET standard_conforming_strings = off; SET transform_null_equals = on; SET TimeZone = 'Asia/Tokyo';
    SET exit_on_error = on; SET exit_on_error = off; SET timescaledb.restoring = on;
    SET app.custom = 'hostile'; SET LOCAL app.custom = 'hostile';
    SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET CONSTRAINTS ALL DEFERRED;
    SELECT pg_advisory_lock(1); SELECT pg_advisory_xact_lock(2); SELECT setseed(0.5);
    SET max_parallel_workers_per_gather = 4; SET debug_parallel_query = on;
    SELECT count(*) FROM platform.heard; NOTIFY hidden; SELECT lo_create(0);
    RESET ALL; SET search_path = platform, pg_catalog";

/// `attack` notes whose rights it has and, once in a transaction that is not of the test's own
/// sessions, tries all of the above. Operators are named by their schema, since the attacker's
/// own may be in front.
fn arsenal() -> String {
    format!(
        "CREATE TABLE platform.heard (session text, way text, vector text, who text, super boolean);
         CREATE TABLE platform.tried (statement text, outcome text);
         CREATE TABLE platform.times (xact xid8);
         GRANT ALL ON platform.heard, platform.tried, platform.times TO PUBLIC;
         GRANT USAGE ON SCHEMA platform TO PUBLIC;
         CREATE FUNCTION platform.attack(vector text) RETURNS boolean LANGUAGE plpgsql AS $$
         DECLARE wanted text; result text;
         BEGIN
            INSERT INTO platform.heard SELECT current_setting('application_name'),
                CASE WHEN EXISTS (SELECT FROM pg_stat_progress_copy
                    WHERE pid OPERATOR(pg_catalog.=) pg_backend_pid()) THEN 'COPY' ELSE 'INSERT' END,
                vector, current_user, rolsuper
                FROM pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user;
            IF current_setting('application_name') OPERATOR(pg_catalog.=) 'pg_test'
                OR EXISTS (SELECT FROM platform.times
                    WHERE xact OPERATOR(pg_catalog.=) pg_current_xact_id()) THEN
                RETURN true;
            END IF;
            INSERT INTO platform.times SELECT pg_current_xact_id();
            FOREACH wanted IN ARRAY string_to_array($list${FORBIDDEN};{ALLOWED}$list$, ';') LOOP
                BEGIN
                    EXECUTE wanted;
                    result := 'done';
                EXCEPTION WHEN OTHERS THEN
                    result := SQLSTATE;
                END;
                INSERT INTO platform.tried SELECT btrim(wanted, E' \\n'), result;
            END LOOP;
            RETURN true;
         END $$;
         CREATE FUNCTION platform.pure(vector text, value text) RETURNS boolean
            LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN platform.attack(vector); END$$;
         CREATE FUNCTION platform.fire() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM platform.attack(TG_ARGV[0]);
            RETURN NEW;
         END $$;"
    )
}

/// Writes down, with each batch of the superuser's table, what the session of the worker is like.
const WITNESS: &str = "
    CREATE TABLE public.witnessed (number serial, what text);
    CREATE FUNCTION public.witness() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        INSERT INTO public.witnessed (what)
            SELECT string_agg(item, E'\\n' ORDER BY item) FROM (
                SELECT name || '=' || setting FROM pg_settings WHERE name <> 'search_path' AND name NOT LIKE 'postgres_fdw.%'
                UNION ALL SELECT 'app.custom=' || coalesce(current_setting('app.custom', true), '')
                UNION ALL SELECT 'role ' || session_user || ' ' || current_user
                UNION ALL SELECT 'prepared ' || name FROM pg_prepared_statements
                UNION ALL SELECT 'held ' || name FROM pg_cursors WHERE is_holdable
                UNION ALL SELECT 'listening ' || pg_listening_channels()
                UNION ALL SELECT 'temporary ' || typname FROM pg_type
                    WHERE typnamespace = pg_my_temp_schema()
                UNION ALL SELECT 'lock ' || objid FROM pg_locks
                    WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS list (item);
        RETURN NULL;
    END $$;
    CREATE FUNCTION public.witness_path() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.witnessed (what) SELECT 'search_path=' || current_setting('search_path');
        RETURN NULL;
    END $$;
    CREATE TRIGGER witness AFTER INSERT ON public.netflow_metrics
        FOR EACH STATEMENT EXECUTE FUNCTION public.witness();
    CREATE TRIGGER witness_path AFTER INSERT ON public.netflow_metrics
        FOR EACH STATEMENT EXECUTE FUNCTION public.witness_path();";

/// Roles, memberships, functions that run as their owner: what a right gained would show in.
const RIGHTS: &str = "SELECT pg_catalog.string_agg(item, E'\\n' ORDER BY item) FROM (
    SELECT r::pg_catalog.text FROM pg_catalog.pg_roles r
    UNION ALL SELECT m::pg_catalog.text FROM pg_catalog.pg_auth_members m
    UNION ALL SELECT s::pg_catalog.text FROM pg_catalog.pg_db_role_setting s
    UNION ALL SELECT p.proname::pg_catalog.text FROM pg_catalog.pg_proc p
        WHERE p.prosecdef OR p.proowner OPERATOR(pg_catalog.=) 10::pg_catalog.oid
    UNION ALL SELECT c.oid || c.relname || c.relowner || coalesce(c.relacl::pg_catalog.text, '')
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
            ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            AND n.nspname OPERATOR(pg_catalog.=) 'sr_event_writer'::pg_catalog.name) AS list (item)";

/// The stage of one attack.
pub struct Ground {
    /// Its servers.
    pub stack: Stack,
    rights: String,
    theirs: u64,
    ours: u64,
}

impl Ground {
    /// Destinations that are plain tables, and what the attacker has prepared: `sql` is run as
    /// `app`.
    pub async fn prepared(sql: &str) -> Self {
        let builder = Stack::builder().plain_tables().without_keys();
        Self::built(builder, "platform, public", sql).await
    }

    /// With another `search_path`, or other tables.
    pub async fn built(builder: Builder, path: &str, sql: &str) -> Self {
        let stack = builder
            .disabled()
            .setting("search_path", path)
            .start()
            .await;
        let prepare = format!(
            "CREATE ROLE app LOGIN; CREATE ROLE other_owner LOGIN;
             CREATE SCHEMA platform AUTHORIZATION app;
             ALTER TABLE public.logs OWNER TO app; ALTER TABLE public.logs SET SCHEMA platform;
             {WITNESS} SET ROLE app; {} {sql}; RESET ROLE",
            arsenal()
        );
        stack.pg.execute(&prepare).await;
        let rights = stack.pg.value(RIGHTS).await;
        stack.enable().await;
        Self {
            stack,
            rights,
            theirs: 0,
            ours: 0,
        }
    }

    /// Takes everything so far as allowed.
    pub async fn take_stock(&mut self) {
        self.rights = self.stack.pg.value(RIGHTS).await;
    }

    /// A batch of the superuser's table.
    pub async fn ours(&mut self) {
        self.ours_within(SOON).await;
    }

    /// The same where something may be in its way several times.
    pub async fn ours_within(&mut self, limit: Duration) {
        let numbers = self.ours..self.ours + 1;
        self.publish(OURS, numbers).await;
        self.ours += 1;
        self.stack.expect_rows(OURS, self.ours, limit).await;
    }

    /// Rows for the attacker's table, enough at a time to be copied.
    pub async fn many_of_theirs(&mut self) {
        // They wait, so that they come as one batch.
        let pipeline = THEIRS.name();
        let call = |what: &str| format!("SELECT sr_event_writer_{what}('{pipeline}')");
        self.stack.pg.execute(&call("pause")).await;
        self.send_theirs(COPIED).await;
        self.stack.pg.execute(&call("resume")).await;
    }

    /// So few rows for it that they are inserted.
    pub async fn few_of_theirs(&mut self) {
        self.send_theirs(INSERTED).await;
    }

    /// Number of messages sent.
    pub fn sent(&self) -> u64 {
        self.theirs
    }

    async fn send_theirs(&mut self, count: u64) {
        let numbers = self.theirs..self.theirs + count;
        self.publish(THEIRS, numbers).await;
        self.theirs += count;
    }

    async fn publish(&self, feed: Feed, numbers: std::ops::Range<u64>) {
        let messages = Generator::new(93).range(feed, numbers);
        self.stack.nats.publish_messages(messages).await;
    }

    /// Rows for the attacker's table on both ways, all of which arrive, between those of the other.
    pub async fn provoke(&mut self) {
        self.ours().await;
        self.many_of_theirs().await;
        self.stack.expect_rows(THEIRS, self.sent(), SOON).await;
        self.ours().await;
        self.few_of_theirs().await;
        self.stack.expect_rows(THEIRS, self.sent(), SOON).await;
        self.ours().await;
    }

    /// [`Ground::provoke`], and then nothing was gained: the attack ran on these ways, as `app`
    /// alone, and left nothing behind.
    pub async fn withstands(&mut self, ways: &[&str]) {
        self.provoke().await;
        assert_eq!(self.ways().await, ways, "ways on which the attack ran");
        self.nothing_was_gained().await;
        let sql = "SELECT count(DISTINCT statement) FROM platform.tried";
        let count = (FORBIDDEN.matches(';').count() + ALLOWED.matches(';').count() + 2) as i64;
        assert_eq!(self.stack.pg.value::<i64>(sql).await, count, "tried");
    }

    /// Waits until the attacker's pipeline says this of its table, and takes no row.
    pub async fn is_refused(&mut self, word: &str) {
        self.ours().await;
        self.many_of_theirs().await;
        let named = crate::fixtures::detail_mentions(word);
        crate::fixtures::stream_status_where(&self.stack, THEIRS, word, named).await;
        self.ours().await;
        self.nothing_was_gained().await;
    }

    /// The attacker's table fails with this, and the same process goes on writing the other one.
    pub async fn stops_nobody(&mut self, word: &str) {
        self.ours().await;
        let worker = self.stack.pg.worker_pid().await;
        self.few_of_theirs().await;
        let named = crate::fixtures::detail_mentions(word);
        crate::fixtures::stream_status_where(&self.stack, THEIRS, word, named).await;
        self.ours().await;
        assert_eq!(self.stack.pg.worker_pid().await, worker, "the process");
        self.nothing_was_gained().await;
    }

    /// Waits until the worker writes to the attacker's table.
    pub async fn is_writing(&self) {
        let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
            WHERE application_name OPERATOR(pg_catalog.=) 'sr_event_writer'
                AND wait_event OPERATOR(pg_catalog.=) 'PgSleep'";
        pg_test::wait::eventually_equal(SOON, "statements that never end", 1_i64, async || {
            self.stack.pg.try_value(sql).await
        })
        .await;
    }

    /// Messages that the attacker's table refuses.
    pub async fn dead_letters(&mut self) {
        self.ours().await;
        self.few_of_theirs().await;
        let sql = "SELECT count(*) FROM sr_event_writer.dead_letter";
        let all = self.theirs as i64;
        pg_test::wait::eventually_equal(SOON, "dead letters", all, async || {
            self.stack.pg.try_value(sql).await
        })
        .await;
        self.ours().await;
    }

    /// Asserts that the attacks have changed nothing.
    pub async fn nothing_was_gained(&self) {
        let locks = "SELECT count(*) FROM pg_locks
            WHERE locktype OPERATOR(pg_catalog.=) 'advisory'";
        let locks: i64 = self.stack.pg.value(locks).await;
        assert_eq!(locks, 0, "advisory locks");
        self.nothing_was_gained_in_a_session().await;
    }

    /// The same where a session of somebody else may hold advisory locks.
    pub async fn nothing_was_gained_in_a_session(&self) {
        let pg = &self.stack.pg;
        assert_eq!(self.as_others().await, NOTHING, "ran as another role");
        let done = format!(
            "SELECT DISTINCT t.statement || ': ' || t.outcome FROM platform.tried t
             WHERE pg_catalog.strpos($list${FORBIDDEN}$list$, t.statement) OPERATOR(pg_catalog.>) 0
                AND t.outcome OPERATOR(pg_catalog.<>) '42501'"
        );
        assert_eq!(self.list(&done).await, NOTHING, "allowed");
        let rights: String = pg.value(RIGHTS).await;
        assert_eq!(rights, self.rights, "rights");
        self.session_is_as_before().await;
        crate::fixtures::assert_unharmed(&self.stack);
    }

    /// The ways on which the attacker's code ran in the worker.
    async fn ways(&self) -> Vec<String> {
        self.list(
            "SELECT DISTINCT way FROM platform.heard
             WHERE session OPERATOR(pg_catalog.=) 'sr_event_writer' ORDER BY 1",
        )
        .await
    }

    /// Returns the calls that ran as another role, except those of this test's sessions.
    async fn as_others(&self) -> Vec<String> {
        self.list(
            "SELECT DISTINCT way || ' ' || vector || ' as ' || who FROM platform.heard
             WHERE (super OR who OPERATOR(pg_catalog.<>) 'app')
                AND session OPERATOR(pg_catalog.<>) 'pg_test'",
        )
        .await
    }

    async fn session_is_as_before(&self) {
        let sql = "SELECT what FROM public.witnessed ORDER BY number";
        let all = self.list(sql).await;
        let (first, rest) = all.split_at(2);
        assert!(rest.len() >= 2, "{} witnessed", all.len());
        let before: Vec<_> = first.iter().flat_map(|text| text.lines()).collect();
        let changed: Vec<_> = rest
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| !before.contains(line))
            .collect();
        assert_eq!(changed, NOTHING, "of the worker's session");
    }

    async fn list(&self, sql: &str) -> Vec<String> {
        let rows = self.stack.pg.query(sql, &[]).await;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until the attack was heard in the worker.
    pub async fn heard(&self) {
        eventually(SOON, "the attack runs", async || {
            match self.ways().await.is_empty() {
                true => Err("not heard"),
                false => Ok(()),
            }
        })
        .await;
    }
}

/// One operator for each pair of types that a statement of the worker may compare, all of them the
/// attacker's.
pub fn operators() -> String {
    let pairs = [
        ("=", "text", "text"),
        ("=", "name", "name"),
        ("=", "name", "text"),
        ("=", "oid", "oid"),
        ("=", "oid", "regclass"),
        ("=", "regclass", "oid"),
        ("=", "bigint", "bigint"),
        ("=", "timestamptz", "timestamptz"),
        ("<>", "timestamptz", "timestamptz"),
        ("=", "\"char\"", "\"char\""),
        ("=", "smallint", "smallint"),
        (">", "smallint", "integer"),
        ("-", "bigint", "integer"),
        ("<", "timestamptz", "timestamptz"),
    ];
    let operator = |(number, (name, left, right)): (usize, (&str, &str, &str))| {
        let (result, value) = match name {
            "-" => ("bigint", "1"),
            _ => ("boolean", "true"),
        };
        format!(
            "CREATE FUNCTION platform.f{number}(a {left}, b {right}) RETURNS {result}
                 LANGUAGE plpgsql AS $$
             BEGIN PERFORM platform.attack('{left} {name} {right}'); RETURN {value}; END $$;
             CREATE OPERATOR platform.{name} (LEFTARG = {left}, RIGHTARG = {right},
                 FUNCTION = platform.f{number});"
        )
    };
    pairs.into_iter().enumerate().map(operator).collect()
}
