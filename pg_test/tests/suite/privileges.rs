//! Nobody gains a right by what he owns: neither the owner of a destination, nor whoever may create
//! objects in a schema of `search_path`. And nothing that he does to the worker's session lasts.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};

/// Of the attacker `app`, who owns the schema `platform` and the table `logs` and nothing else.
const THEIRS: Feed = Feed::Logs;
/// Of the superuser.
const OURS: Feed = Feed::Netflow;
/// A batch that is copied has 32 rows or more, and a smaller one is inserted.
const COPIED: u64 = 100;
const INSERTED: u64 = 3;
const NOTHING: [String; 0] = [];

/// What `app` owns. `spy` notes whose rights it has.
const ATTACKER: &str = "
    CREATE ROLE app LOGIN;
    CREATE SCHEMA platform AUTHORIZATION app;
    ALTER TABLE public.logs OWNER TO app;
    CREATE TABLE public.spied (pid integer, what text, super boolean);
    GRANT INSERT, SELECT ON public.spied TO PUBLIC;
    SET ROLE app;
    CREATE FUNCTION platform.spy(what text) RETURNS boolean LANGUAGE plpgsql
        SET search_path = pg_catalog AS $$
    BEGIN
        INSERT INTO public.spied SELECT pg_backend_pid(), what, rolsuper FROM pg_roles
            WHERE rolname = current_user;
        RETURN true;
    END $$;
    GRANT USAGE ON SCHEMA platform TO PUBLIC;";

/// One operator for each pair of types that a statement of the worker may compare.
fn operators() -> String {
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
        (">", "smallint", "integer"),
        ("-", "bigint", "integer"),
        ("<", "timestamptz", "timestamptz"),
    ];
    let operator = |(number, (name, left, right)): (usize, (&str, &str, &str))| {
        let result = if name == "-" { "bigint" } else { "boolean" };
        let value = if name == "-" { "1" } else { "true" };
        format!(
            "CREATE FUNCTION platform.f{number}(a {left}, b {right}) RETURNS {result}
                 LANGUAGE plpgsql SET search_path = pg_catalog AS $$
             BEGIN PERFORM platform.spy('{left} {name} {right}'); RETURN {value}; END $$;
             CREATE OPERATOR platform.{name} (LEFTARG = {left}, RIGHTARG = {right},
                 FUNCTION = platform.f{number});"
        )
    };
    let operators: String = pairs.into_iter().enumerate().map(operator).collect();
    operators + "RESET ROLE;"
}

async fn publish(stack: &Stack, feed: Feed, numbers: std::ops::Range<u64>) {
    let count = numbers.end;
    let messages = Generator::new(91).range(feed, numbers);
    stack.nats.publish_messages(messages).await;
    stack.expect_rows(feed, count, SOON).await;
}

/// What of the attacker's code the worker ran as superuser. The sessions of this test may.
async fn found(stack: &Stack) -> Vec<String> {
    let worker = stack.pg.worker_pid().await;
    let sql =
        format!("SELECT DISTINCT what FROM public.spied WHERE pid = {worker} AND super ORDER BY 1");
    let rows = stack.pg.query(&sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operator_on_the_databases_path_runs_as_the_worker() {
    let stack = Stack::builder()
        .plain_tables()
        .disabled()
        .setting("search_path", "platform, pg_catalog, public")
        .start()
        .await;
    stack
        .pg
        .execute(&format!("{ATTACKER} {}", operators()))
        .await;
    stack.enable().await;
    publish(&stack, THEIRS, 0..COPIED).await;
    publish(&stack, THEIRS, COPIED..COPIED + INSERTED).await;
    publish(&stack, OURS, 0..COPIED).await;
    stack
        .pg
        .execute("ALTER TABLE public.logs SET (fillfactor = 90)")
        .await;
    publish(&stack, THEIRS, COPIED + INSERTED..2 * COPIED).await;
    assert_eq!(found(&stack).await, NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owners_trigger_sets_ends_with_its_statement() {
    let stack = Stack::builder().plain_tables().disabled().start().await;
    stack
        .pg
        .execute(&format!("{ATTACKER} {}", operators()))
        .await;
    // What the session of the worker has set is written down with each batch of another pipeline.
    stack
        .pg
        .execute(
            "CREATE FUNCTION platform.hostile() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                PERFORM pg_catalog.set_config('lock_timeout', '77s', false);
                PERFORM pg_catalog.set_config('default_transaction_read_only', 'on', false);
                PERFORM pg_catalog.set_config('synchronous_commit', 'local', false);
                PERFORM pg_catalog.set_config('statement_timeout', '78s', false);
                PERFORM pg_catalog.set_config('work_mem', '79MB', true);
                PERFORM pg_catalog.set_config('application_name', 'hostile', false);
                PERFORM pg_catalog.set_config('app.custom', 'hostile', false);
                PERFORM pg_catalog.pg_advisory_lock(1);
                SET search_path = platform, pg_catalog;
                RETURN NEW;
             END $$;
             CREATE TRIGGER hostile BEFORE INSERT ON public.logs
                FOR EACH ROW EXECUTE FUNCTION platform.hostile();
             CREATE TABLE settings (number serial, all_of_them text);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                INSERT INTO public.settings (all_of_them)
                    SELECT pg_catalog.string_agg(name || '=' || setting, ' ' ORDER BY name)
                    FROM pg_catalog.pg_settings;
                RETURN NULL;
             END $$;
             CREATE TRIGGER note AFTER INSERT ON public.netflow_metrics
                FOR EACH STATEMENT EXECUTE FUNCTION note()",
        )
        .await;
    stack.enable().await;
    publish(&stack, OURS, 0..1).await;
    for (number, (first, last)) in [(0, COPIED), (COPIED, COPIED + INSERTED)]
        .iter()
        .enumerate()
    {
        publish(&stack, THEIRS, *first..*last).await;
        let number = number as u64 + 1;
        publish(&stack, OURS, number..number + 1).await;
    }
    let sql = "SELECT count(*), min(all_of_them), max(all_of_them)
        FROM settings";
    let row = stack.pg.query_one(sql, &[]).await;
    assert!(row.get::<_, i64>(0) >= 3, "batches");
    let (one, other): (String, String) = (row.get(1), row.get(2));
    let of = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let changed: Vec<_> = of(&other)
        .into_iter()
        .filter(|setting| !of(&one).contains(setting))
        .collect();
    assert_eq!(changed, NOTHING);
    let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(stack.pg.value::<i64>(sql).await, 0, "locks left behind");
    assert_eq!(found(&stack).await, NOTHING);
}

/// What would last, or give other rights. All of it is refused with 42501.
const FORBIDDEN: &str = "
    RESET ROLE; SET ROLE postgres; SET LOCAL ROLE none; SET SESSION AUTHORIZATION postgres;
    RESET SESSION AUTHORIZATION; ALTER ROLE app SUPERUSER; CREATE ROLE other SUPERUSER;
    CREATE TEMP TABLE hidden (n integer); CREATE TEMP VIEW hidden AS SELECT 1;
    LISTEN hidden; UNLISTEN *; PREPARE hidden AS SELECT 1; DEALLOCATE ALL;
    DISCARD PLANS; DISCARD ALL; COPY public.spied TO PROGRAM 'true'";

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_trigger_neither_leaves_its_role_nor_anything_behind() {
    let stack = Stack::builder().plain_tables().disabled().start().await;
    stack
        .pg
        .execute(&format!(
            "{ATTACKER}
             CREATE TABLE platform.tried (statement text, outcome text);
             CREATE FUNCTION platform.try() RETURNS trigger LANGUAGE plpgsql AS $$
             DECLARE wanted text; result text;
             BEGIN
                FOREACH wanted IN ARRAY string_to_array($list${FORBIDDEN}$list$, ';') LOOP
                    result := 'done';
                    BEGIN
                        EXECUTE wanted;
                    EXCEPTION WHEN OTHERS THEN
                        result := SQLSTATE;
                    END;
                    INSERT INTO platform.tried
                        SELECT btrim(wanted, E' \\n'), result || ' as ' || current_user;
                END LOOP;
                RETURN NULL;
             END $$;
             CREATE TRIGGER try AFTER INSERT ON public.logs
                FOR EACH STATEMENT EXECUTE FUNCTION platform.try();
             RESET ROLE"
        ))
        .await;
    stack.enable().await;
    publish(&stack, THEIRS, 0..COPIED).await;
    publish(&stack, THEIRS, COPIED..COPIED + INSERTED).await;
    let sql = "SELECT DISTINCT statement || ': ' || outcome FROM platform.tried
        WHERE outcome <> '42501 as app'";
    let rows = stack.pg.query(sql, &[]).await;
    let done: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(done, NOTHING);
    let sql = "SELECT count(DISTINCT statement) FROM platform.tried";
    let tried: i64 = stack.pg.value(sql).await;
    assert_eq!(tried, 16);
}

/// What of the extension a role may use.
async fn usable(stack: &Stack, role: &str) -> Vec<String> {
    let sql = format!(
        "WITH member AS (
            SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
            WHERE e.extname = 'sr_event_writer' AND d.deptype = 'e'
                AND d.refclassid = 'pg_extension'::regclass)
        SELECT 'EXECUTE ' || p.proname FROM pg_proc p JOIN member m ON m.objid = p.oid
            WHERE m.classid = 'pg_proc'::regclass
                AND has_function_privilege('{role}', p.oid, 'EXECUTE')
        UNION
        SELECT privilege || ' ' || c.relname FROM pg_class c JOIN member m ON m.objid = c.oid,
                unnest('{{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}}'::text[])
                    privilege
            WHERE m.classid = 'pg_class'::regclass AND c.relkind <> 'S'
                AND has_table_privilege('{role}', c.oid, privilege)
        UNION
        SELECT privilege || ' ' || c.relname FROM pg_class c JOIN member m ON m.objid = c.oid,
                unnest('{{SELECT,USAGE,UPDATE}}'::text[]) privilege
            WHERE m.classid = 'pg_class'::regclass AND c.relkind = 'S'
                AND has_sequence_privilege('{role}', c.oid, privilege)
        ORDER BY 1"
    );
    let rows = stack.pg.query(&sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_use_the_version_alone_and_pg_monitor_what_shows_no_payload() {
    let stack = Stack::builder()
        .without_nats()
        .without_streams()
        .disabled()
        .start()
        .await;
    stack.pg.execute("CREATE ROLE anybody").await;
    assert_eq!(
        usable(&stack, "anybody").await,
        ["EXECUTE sr_event_writer_version"]
    );
    assert_eq!(
        usable(&stack, "pg_monitor").await,
        [
            "EXECUTE sr_event_writer_status",
            "EXECUTE sr_event_writer_stream_status",
            "EXECUTE sr_event_writer_version",
            "SELECT stream_gap",
            "SELECT stream_position",
            "SELECT stream_status",
        ]
    );
}
