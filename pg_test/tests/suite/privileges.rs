//! Privileges on the extension's objects without further grants.

mod attacks;
mod replay;

use pg_test::stack::Stack;

/// Returns the extension's objects that a role may use.
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
