//! What the attacker has prepared: a function that tries everything that lasts or gives rights, and
//! the triggers and operators that call it. And what would show that it has gained something.

/// Statements that would last, or give other rights. Each is refused with 42501.
pub const FORBIDDEN: &str = "
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
pub const ALLOWED: &str = "
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
pub fn arsenal() -> String {
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
pub const WITNESS: &str = "
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
pub const RIGHTS: &str = "SELECT pg_catalog.string_agg(item, E'\\n' ORDER BY item) FROM (
    SELECT r::pg_catalog.text FROM pg_catalog.pg_roles r
    UNION ALL SELECT m::pg_catalog.text FROM pg_catalog.pg_auth_members m
    UNION ALL SELECT s::pg_catalog.text FROM pg_catalog.pg_db_role_setting s
    UNION ALL SELECT p.proname::pg_catalog.text FROM pg_catalog.pg_proc p
        WHERE p.prosecdef OR p.proowner OPERATOR(pg_catalog.=) 10::pg_catalog.oid
    UNION ALL SELECT c.oid || c.relname || c.relowner || coalesce(c.relacl::pg_catalog.text, '')
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
            ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
            AND n.nspname OPERATOR(pg_catalog.=) 'sr_event_writer'::pg_catalog.name) AS list (item)";

/// Calls the attack before each row.
pub const ATTACK_BEFORE_EACH_ROW: &str = "CREATE TRIGGER fire BEFORE INSERT ON platform.logs
    FOR EACH ROW EXECUTE FUNCTION platform.fire('trigger');";

/// A trigger on the attacker's table with a function of its own: `when` is as `BEFORE INSERT`,
/// `each` is `ROW` or `STATEMENT`, `body` a block of PL/pgSQL.
pub fn trigger(when: &str, each: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION platform.own() RETURNS trigger LANGUAGE plpgsql AS $$
         {body} $$;
         CREATE TRIGGER own {when} ON platform.logs
            FOR EACH {each} EXECUTE FUNCTION platform.own();"
    )
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
