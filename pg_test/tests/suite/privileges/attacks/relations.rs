//! By destinations that are no plain tables: rules, views, policies, partitions, foreign tables.

use super::attack::{Attack, trigger};
use super::{BOTH, INSERTED};

#[tokio::test(flavor = "multi_thread")]
async fn by_a_rule_beside_the_row() {
    let mut attack = Attack::prepared(
        "CREATE TABLE platform.also (hit boolean);
         CREATE RULE also AS ON INSERT TO platform.logs
            DO ALSO INSERT INTO platform.also VALUES (platform.attack('rule'))",
    )
    .await;
    attack.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_rule_that_takes_the_place_of_the_row() {
    let mut attack = Attack::prepared(
        "ALTER TABLE platform.logs RENAME TO instead;
         CREATE TABLE platform.logs (LIKE platform.instead INCLUDING DEFAULTS);
         ALTER TABLE platform.instead ADD COLUMN hit boolean;
         CREATE RULE instead AS ON INSERT TO platform.logs
            DO INSTEAD INSERT INTO platform.instead (\"timestamp\", trace_id, span_id, hit)
            VALUES (NEW.timestamp, NEW.trace_id, NEW.span_id, platform.attack('rule'));
         CREATE RULE instead_of_reading AS ON DELETE TO platform.logs DO INSTEAD NOTHING",
    )
    .await;
    attack.ours().await;
    attack.many_of_theirs().await;
    attack.heard().await;
    attack.few_of_theirs().await;
    attack.ours().await;
    attack.nothing_was_gained().await;
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
    let instead = "BEGIN
            PERFORM platform.attack('view');
            INSERT INTO platform.behind SELECT NEW.*;
            RETURN NEW;
         END";
    let instead = trigger("INSTEAD OF INSERT", "ROW", instead);
    let mut attack = Attack::prepared(&format!("{}; {instead}", view("", ""))).await;
    attack.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_condition_of_a_view() {
    let sql = view("", "WHERE platform.attack('view') WITH CHECK OPTION");
    let mut attack = Attack::prepared(&sql).await;
    attack.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_condition_of_a_view_that_reads_as_its_invoker() {
    let sql = view(
        "WITH (security_invoker)",
        "WHERE platform.attack('view') WITH CHECK OPTION",
    );
    let mut attack = Attack::prepared(&sql).await;
    attack.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_view_of_a_table_that_he_may_not_write() {
    for options in ["", "WITH (security_invoker)"] {
        let sql = format!(
            "ALTER TABLE platform.logs RENAME TO old;
             RESET ROLE; CREATE TABLE public.behind (LIKE platform.old); SET ROLE app;
             CREATE VIEW platform.logs {options} AS SELECT * FROM public.behind"
        );
        let mut attack = Attack::prepared(&sql).await;
        attack.is_refused("permission denied").await;
        let rows: i64 = attack
            .stack
            .pg
            .value("SELECT count(*) FROM public.behind")
            .await;
        assert_eq!(rows, 0, "rows in a table that is not his ({options})");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_row_security_policy() {
    let mut attack = Attack::prepared(
        "ALTER TABLE platform.logs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY mine ON platform.logs USING (platform.attack('using'))
            WITH CHECK (platform.attack('policy'))",
    )
    .await;
    attack.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_partition_of_another_owner() {
    let mut attack = Attack::prepared(
        "ALTER TABLE platform.logs RENAME TO old;
         CREATE TABLE platform.logs (LIKE platform.old INCLUDING DEFAULTS) PARTITION BY RANGE (\"timestamp\");
         CREATE TABLE platform.part PARTITION OF platform.logs DEFAULT;
         CREATE TRIGGER fire BEFORE INSERT ON platform.part
            FOR EACH ROW EXECUTE FUNCTION platform.fire('partition');
         RESET ROLE; ALTER TABLE platform.part OWNER TO other_owner;
         ALTER FUNCTION platform.fire OWNER TO other_owner; SET ROLE app",
    )
    .await;
    attack.withstands(&BOTH).await;
}

/// A superuser would reach the other server without a password.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_foreign_table_that_comes_back_as_the_superuser() {
    let mut attack = Attack::prepared(
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
    attack.is_refused("password").await;
    let behind = "SELECT count(*) FROM public.behind";
    assert_eq!(attack.stack.pg.value::<i64>(behind).await, 0);
}
