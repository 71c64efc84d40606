//! What `CREATE EXTENSION` grants. A new function or table has to be added here, and so to be
//! thought about.

use std::collections::BTreeMap;

use pg_test::postgres::Postgres;

const NOBODY: &[&str] = &[];
const EVERYBODY: &[&str] = &["PUBLIC"];
const CONTROL: &[&str] = &["sr_event_writer_operator"];
const STATUS: &[&str] = &["pg_monitor", "sr_event_writer_operator"];

/// The grants on every function, relation and schema of the extension. The only privileges are
/// EXECUTE, SELECT and USAGE.
const GRANTED: &[(&str, &[&str])] = &[
    ("sr_event_writer_create_tables(text,boolean)", NOBODY),
    ("sr_event_writer_decode(text,bytea,text)", NOBODY),
    ("sr_event_writer_discard(bigint[])", CONTROL),
    ("sr_event_writer_pause(text)", CONTROL),
    (
        "sr_event_writer_replay(text,bigint[],integer,boolean)",
        CONTROL,
    ),
    ("sr_event_writer_restart()", CONTROL),
    ("sr_event_writer_resume(text)", CONTROL),
    ("sr_event_writer_seek(text,bigint,boolean)", CONTROL),
    (
        "sr_event_writer_seek(text,timestamp with time zone,boolean)",
        CONTROL,
    ),
    ("sr_event_writer_status()", STATUS),
    ("sr_event_writer_stream_status()", STATUS),
    ("sr_event_writer_version()", EVERYBODY),
    ("sr_event_writer_wait(text,bigint,interval)", CONTROL),
    ("schema sr_event_writer", STATUS),
    ("sr_event_writer.dead_letter", NOBODY),
    ("sr_event_writer.dead_letter_id_seq", NOBODY),
    ("sr_event_writer.pipeline_control", NOBODY),
    ("sr_event_writer.stream_gap", STATUS),
    ("sr_event_writer.stream_gap_id_seq", NOBODY),
    ("sr_event_writer.stream_position", STATUS),
    ("sr_event_writer.stream_status", STATUS),
];

/// Each object with the roles, other than its owner, that have a privilege on it or on a column.
/// A privilege beyond the three, or a grant option, is written before the role.
const ACTUAL: &str = "
WITH member AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE e.extname = 'sr_event_writer' AND d.deptype = 'e'
        AND d.refclassid = 'pg_extension'::regclass
), object AS (
    SELECT p.oid::regprocedure::text AS name, p.proowner AS owner,
        coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
    FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
    UNION ALL
    SELECT c.oid::regclass::text, c.relowner, coalesce(c.relacl,
        acldefault((CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\", c.relowner))
    FROM pg_class c
    WHERE c.relnamespace = 'sr_event_writer'::regnamespace AND c.relkind NOT IN ('i', 't')
    UNION ALL
    SELECT c.oid::regclass::text, c.relowner, a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'sr_event_writer'::regnamespace AND a.attacl IS NOT NULL
    UNION ALL
    SELECT 'schema ' || n.nspname, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
    FROM pg_namespace n JOIN member m ON m.classid = 'pg_namespace'::regclass AND m.objid = n.oid
)
SELECT o.name, array_agg(DISTINCT
        CASE WHEN a.privilege_type NOT IN ('EXECUTE', 'SELECT', 'USAGE')
            THEN a.privilege_type || ' to ' ELSE '' END
        || CASE WHEN a.is_grantable THEN 'grantable to ' ELSE '' END
        || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
    FILTER (WHERE a.grantee IS NOT NULL)
FROM object o LEFT JOIN LATERAL aclexplode(o.acl) a ON a.grantee <> o.owner
GROUP BY o.name";

/// Returns what differs from [`GRANTED`]: what is granted and what is listed, for each object.
pub async fn differences(pg: &Postgres) -> Vec<String> {
    let rows = pg.query(ACTUAL, &[]).await;
    let actual: BTreeMap<String, Vec<String>> = rows
        .iter()
        .map(|row| {
            (
                row.get(0),
                row.get::<_, Option<Vec<_>>>(1).unwrap_or_default(),
            )
        })
        .collect();
    let owned = |roles: &[&str]| roles.iter().map(|&role| role.to_owned()).collect();
    let listed: BTreeMap<String, Vec<String>> = GRANTED
        .iter()
        .map(|(name, roles)| ((*name).to_owned(), owned(roles)))
        .collect();
    let mut names: Vec<_> = actual.keys().chain(listed.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| actual.get(*name) != listed.get(*name))
        .map(|name| format!("{name}: {:?}, not {:?}", actual.get(name), listed.get(name)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_granted_to_the_documented_roles_and_nobody_else() {
    let pg = Postgres::create(pg_test::postgres::Options::default());
    pg.start().await;
    pg.execute("CREATE EXTENSION sr_event_writer").await;
    assert_eq!(differences(&pg).await, Vec::<String>::new());

    // What somebody forgets shows.
    pg.execute(
        "CREATE FUNCTION forgotten() RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER EXTENSION sr_event_writer ADD FUNCTION forgotten();
         CREATE TABLE sr_event_writer.forgotten (payload text);
         GRANT SELECT (payload) ON sr_event_writer.dead_letter TO pg_monitor;
         GRANT UPDATE ON sr_event_writer.stream_gap TO pg_monitor WITH GRANT OPTION",
    )
    .await;
    assert_eq!(
        differences(&pg).await,
        [
            r#"forgotten(): Some(["PUBLIC"]), not None"#,
            r#"sr_event_writer.dead_letter: Some(["pg_monitor"]), not Some([])"#,
            r#"sr_event_writer.forgotten: Some([]), not None"#,
            "sr_event_writer.stream_gap: Some([\"UPDATE to grantable to pg_monitor\", \
             \"pg_monitor\", \"sr_event_writer_operator\"]), not Some([\"pg_monitor\", \
             \"sr_event_writer_operator\"])",
        ]
    );
}
