//! The role `sr_event_writer_operator`, which belongs to the cluster: who creates it, and what a
//! role of this name that exists already means.

use std::io::Write as _;
use std::process::Stdio;

use pg_test::postgres::{Failure, Installation, Options, Postgres};
use pg_test::stack::Stack;

use super::grants;
use crate::script_folder::ScriptFolder;

const DOCUMENTATION: &str = include_str!("../../../../docs/operations.md");

async fn started(options: Options) -> Postgres {
    let pg = Postgres::create(options);
    pg.start().await;
    pg
}

async fn outcome(pg: &Postgres, role: &str, sql: &str) -> String {
    let session = pg.connect_as(role, "postgres").await;
    match session.batch_execute(sql).await {
        Ok(()) => "done".to_owned(),
        Err(failure) => Failure::from(failure).sqlstate().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_controls_the_writer_and_sees_its_status_but_no_payload() {
    let stack = Stack::start().await;
    stack
        .pg
        .execute("CREATE ROLE ops LOGIN; GRANT sr_event_writer_operator TO ops")
        .await;
    for (sql, expected) in [
        ("SELECT * FROM sr_event_writer.stream_status", "done"),
        ("SELECT sr_event_writer_status()", "done"),
        ("SELECT sr_event_writer_pause('netflow')", "done"),
        ("SELECT sr_event_writer_seek('netflow', 1)", "done"),
        ("SELECT sr_event_writer_seek('netflow', now())", "done"),
        ("SELECT sr_event_writer_resume()", "done"),
        ("SELECT sr_event_writer_wait('logs', 0)", "done"),
        ("SELECT * FROM sr_event_writer_replay()", "done"),
        ("SELECT sr_event_writer_discard('{1}')", "done"),
        ("SELECT sr_event_writer_restart()", "done"),
        ("SELECT 1 FROM sr_event_writer.dead_letter", "42501"),
        ("DELETE FROM sr_event_writer.pipeline_control", "42501"),
        ("SELECT * FROM sr_event_writer_decode('Logs', '')", "42501"),
        ("SELECT sr_event_writer_create_tables()", "42501"),
    ] {
        assert_eq!(outcome(&stack.pg, "ops", sql).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_and_its_members_outlive_the_extension() {
    let pg = started(Options::default()).await;
    pg.execute(
        "CREATE EXTENSION sr_event_writer;
         CREATE ROLE ops LOGIN; GRANT sr_event_writer_operator TO ops;
         DROP EXTENSION sr_event_writer; CREATE EXTENSION sr_event_writer",
    )
    .await;
    pg.execute("CREATE DATABASE second").await;
    assert_eq!(
        outcome(&pg, "ops", "SELECT sr_event_writer_pause()").await,
        "done"
    );
    let second = pg.connect_as("postgres", "second").await;
    second
        .batch_execute("CREATE EXTENSION sr_event_writer; DROP EXTENSION sr_event_writer")
        .await
        .unwrap();
    // Nothing but the extension's own objects keeps the role.
    pg.execute("DROP EXTENSION sr_event_writer; DROP ROLE sr_event_writer_operator")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_somebody_else_prepared_gets_nothing() {
    let pg = started(Options::default()).await;
    pg.execute("CREATE ROLE mallory LOGIN CREATEROLE").await;
    let prepare = "CREATE ROLE sr_event_writer_operator; GRANT sr_event_writer_operator TO mallory";
    assert_eq!(outcome(&pg, "mallory", prepare).await, "done");
    let failure = pg.refused("CREATE EXTENSION sr_event_writer").await;
    assert_eq!(failure.sqlstate(), "55000", "{failure}");
    assert!(failure.message.contains("mallory"), "{failure}");
    assert!(failure.hint.contains("Drop the role"), "{failure}");

    pg.execute(
        "DROP ROLE sr_event_writer_operator; CREATE EXTENSION sr_event_writer;
         CREATE ROLE lead LOGIN; GRANT sr_event_writer_operator TO lead WITH ADMIN OPTION",
    )
    .await;
    let join = "GRANT sr_event_writer_operator TO mallory";
    assert_eq!(outcome(&pg, "mallory", join).await, "42501");
    assert_eq!(
        outcome(&pg, "mallory", "SELECT sr_event_writer_pause()").await,
        "42501"
    );
    // Whom a superuser has entrusted with the role is no reason to refuse it.
    assert_eq!(outcome(&pg, "lead", join).await, "done");
    pg.execute("DROP EXTENSION sr_event_writer; CREATE EXTENSION sr_event_writer")
        .await;
}

/// A restored database has the grants of CREATE EXTENSION and those that somebody added, and lacks
/// those that somebody revoked. The members come with the roles, before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_brings_grants_members_and_positions_to_another_cluster() {
    let old = started(Options::default()).await;
    old.execute(
        "CREATE EXTENSION sr_event_writer;
         CREATE ROLE ops LOGIN; GRANT sr_event_writer_operator TO ops;
         CREATE ROLE analyst LOGIN; GRANT USAGE ON SCHEMA sr_event_writer TO analyst;
         GRANT SELECT ON sr_event_writer.dead_letter TO analyst;
         REVOKE EXECUTE ON FUNCTION sr_event_writer_restart() FROM sr_event_writer_operator;
         INSERT INTO sr_event_writer.stream_position (pipeline, stream, stream_created, floor)
             VALUES ('netflow', 'NETFLOW', '2026-01-01Z', 7)",
    )
    .await;
    let new = started(Options::default()).await;
    let roles = program(&old, "pg_dumpall", &["--globals-only"], "");
    // Each cluster has its superuser already.
    program(&new, "psql", &["-d", "postgres"], &roles);
    let database = program(&old, "pg_dump", &["postgres"], "");
    let strict = [
        "-d",
        "postgres",
        "-v",
        "ON_ERROR_STOP=1",
        "--single-transaction",
    ];
    program(&new, "psql", &strict, &database);

    for (role, sql, expected) in [
        ("ops", "SELECT sr_event_writer_pause()", "done"),
        ("ops", "SELECT sr_event_writer_restart()", "42501"),
        ("ops", "SELECT 1 FROM sr_event_writer.dead_letter", "42501"),
        (
            "analyst",
            "SELECT 1 FROM sr_event_writer.dead_letter",
            "done",
        ),
        ("analyst", "SELECT sr_event_writer_pause()", "42501"),
    ] {
        assert_eq!(outcome(&new, role, sql).await, expected, "{role}: {sql}");
    }
    let floor = "SELECT floor FROM sr_event_writer.stream_position";
    assert_eq!(new.value::<i64>(floor).await, 7);
}

/// Runs a client program as the superuser, and returns its output.
fn program(pg: &Postgres, name: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Installation::choose()
        .command(name)
        .args(["-h", "127.0.0.1", "-U", "postgres", "-p"])
        .arg(pg.port().to_string())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect(name);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Some platforms reserve CREATE ROLE. Here a role that is not a superuser creates the extension,
/// which the installed control file does not allow.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_create_roles_the_extension_is_created_with_a_hint() {
    if Installation::choose().major() < 18 {
        // Older servers have no extension_control_path.
        return;
    }
    let scripts = ScriptFolder::copy();
    let control = scripts.read("sr_event_writer.control");
    let control = control.replace("superuser = true", "superuser = false");
    scripts.write("sr_event_writer.control", &control);
    let options = Options {
        settings: vec![scripts.setting()],
        ..Options::default()
    };
    let pg = started(options).await;
    pg.execute(
        "CREATE ROLE dba LOGIN; GRANT CREATE ON DATABASE postgres TO dba;
         GRANT CREATE ON SCHEMA public TO dba;
         UPDATE pg_language SET lanpltrusted = true WHERE lanname = 'c'",
    )
    .await;
    assert_eq!(
        outcome(&pg, "dba", "CREATE EXTENSION sr_event_writer").await,
        "done"
    );
    assert!(
        pg.log_contains("WARNING:  could not create role sr_event_writer_operator: permission")
    );
    assert!(pg.log_contains("run the grants for it in docs/operations.md"));

    pg.execute("CREATE ROLE sr_event_writer_operator").await;
    let (_, grants_for_it) = DOCUMENTATION
        .split_once("could not create role sr_event_writer_operator")
        .unwrap();
    let (_, block) = grants_for_it.split_once("```sql\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    pg.execute(block).await;
    assert_eq!(grants::differences(&pg).await, Vec::<String>::new());
}
