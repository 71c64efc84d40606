//! `ALTER EXTENSION … UPDATE` through all releases gives what a fresh `CREATE EXTENSION` of each
//! version gives.

use std::collections::BTreeSet;

use pg_test::postgres::{Installation, Options, Postgres};
use tokio_postgres::Client;

use crate::script_folder::ScriptFolder;

/// Lines that describe all SQL objects of the extension in a database.
const CATALOG: &str = include_str!("upgrade/catalog.sql");

#[tokio::test(flavor = "multi_thread")]
async fn every_step_from_the_first_release_on_gives_what_a_fresh_install_has() {
    let steps = steps(Options::default()).await;
    let default = default_version(include_str!("../../../sr_event_writer.control"));
    assert_eq!(steps.last().unwrap().version, default);
    for step in steps {
        assert_eq!(step.differences, [""; 0], "version {}", step.version);
    }
}

/// Returns the default version that a control file names.
fn default_version(control: &str) -> &str {
    let (_, version) = control.split_once("default_version = '").unwrap();
    version.split_once('\'').unwrap().0
}

/// A version that a test invents.
const NEXT: &str = "0.99.0";
const NEW_OBJECTS: &str = "
    ALTER TABLE sr_event_writer.stream_gap ADD COLUMN noticed_by text DEFAULT 'nobody';
    COMMENT ON COLUMN sr_event_writer.stream_gap.noticed_by IS 'Who knows';
    CREATE INDEX stream_gap_noticed_idx ON sr_event_writer.stream_gap (noticed_by);
    CREATE TABLE sr_event_writer.remark (gap bigint PRIMARY KEY, remark text NOT NULL);
    SELECT pg_catalog.pg_extension_config_dump('sr_event_writer.remark', '');
    CREATE FUNCTION sr_event_writer_remark(gap bigint) RETURNS text LANGUAGE sql
        AS 'SELECT remark FROM sr_event_writer.remark r WHERE r.gap = $1';
    REVOKE ALL ON FUNCTION sr_event_writer_remark(bigint) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION sr_event_writer_remark(bigint) TO sr_event_writer_operator;";

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_does_what_the_full_script_does_is_accepted() {
    if let Some(differences) = differences_of(NEW_OBJECTS).await {
        assert_eq!(differences, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_step_forgets_or_does_in_another_way_shows() {
    for (written, instead, shown) in [
        (
            "DEFAULT 'nobody'",
            "",
            "column 9 sr_event_writer.stream_gap noticed_by",
        ),
        (
            "IS 'Who knows'",
            "IS 'Who'",
            "column 9 sr_event_writer.stream_gap noticed_by",
        ),
        ("(noticed_by)", "(pipeline)", "index"),
        (" PRIMARY KEY", "", "constraint"),
        ("text NOT NULL", "text", "sr_event_writer.remark remark"),
        ("SELECT pg_catalog.pg_ext", "-- ", "dumped"),
        ("r.gap = $1", "r.gap > $1", "function"),
        ("REVOKE", "-- ", "function"),
        ("GRANT", "-- ", "function"),
        ("CREATE INDEX", "-- ", "index"),
    ] {
        let changed = NEW_OBJECTS.replacen(written, instead, 1);
        assert_ne!(changed, NEW_OBJECTS, "{written}");
        let Some(differences) = differences_of(&changed).await else {
            return;
        };
        let found = differences.iter().any(|line| line.contains(shown));
        assert!(found, "{written}: {differences:#?}");
    }
}

/// Returns the differences after an update to [`NEXT`] by a script with these statements. `None` on
/// a server that finds scripts in its own folder only.
async fn differences_of(statements: &str) -> Option<Vec<String>> {
    if Installation::choose().major() < 18 {
        return None;
    }
    let scripts = ScriptFolder::copy();
    let control = scripts.read("sr_event_writer.control");
    let last = default_version(&control);
    let full = scripts.read(&format!("sr_event_writer--{last}.sql"));
    scripts.write(
        &format!("sr_event_writer--{NEXT}.sql"),
        &(full + NEW_OBJECTS),
    );
    scripts.write(&format!("sr_event_writer--{last}--{NEXT}.sql"), statements);
    let settings = vec![scripts.setting()];
    let mut steps = steps(Options {
        settings,
        ..Options::default()
    })
    .await;
    assert_eq!(steps.last().unwrap().version, NEXT);
    Some(steps.pop().unwrap().differences)
}

/// A version that was reached, and the lines of [`CATALOG`] that only the updated or only the fresh
/// extension has.
struct Step {
    version: String,
    differences: Vec<String>,
}

/// Creates the first version, and updates it to each of the others in turn.
async fn steps(options: Options) -> Vec<Step> {
    let pg = Postgres::create(options);
    pg.start().await;
    pg.execute("CREATE DATABASE fresh").await;
    let updated = pg.connect().await;
    let fresh = pg.connect_as("postgres", "fresh").await;
    let mut steps: Vec<Step> = Vec::new();
    for version in versions(&pg).await {
        let update = match steps.last() {
            Some(step) => {
                assert_direct(&pg, &step.version, &version).await;
                format!("ALTER EXTENSION sr_event_writer UPDATE TO '{version}'")
            }
            None => format!("CREATE EXTENSION sr_event_writer VERSION '{version}'"),
        };
        updated.batch_execute(&update).await.expect(&update);
        let create = format!("CREATE EXTENSION sr_event_writer VERSION '{version}'");
        fresh.batch_execute(&create).await.expect(&create);
        let (mine, expected) = (catalog(&updated).await, catalog(&fresh).await);
        assert!(mine.len() > 50, "{mine:#?}");
        let differences = mine.symmetric_difference(&expected).cloned().collect();
        steps.push(Step {
            version,
            differences,
        });
        let drop = "DROP EXTENSION sr_event_writer";
        fresh.batch_execute(drop).await.expect(drop);
    }
    steps
}

/// Returns all versions that have a full script, oldest first.
async fn versions(pg: &Postgres) -> Vec<String> {
    let sql = "SELECT version FROM pg_available_extension_versions
        WHERE name = 'sr_event_writer' ORDER BY string_to_array(version, '.')::int[]";
    let rows = pg.query(sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Panics if there is no script from one version to the next one.
async fn assert_direct(pg: &Postgres, from: &str, to: &str) {
    let sql = format!(
        "SELECT path FROM pg_extension_update_paths('sr_event_writer')
         WHERE source = '{from}' AND target = '{to}'"
    );
    let path: Option<String> = pg.value(&sql).await;
    assert_eq!(path, Some(format!("{from}--{to}")));
}

async fn catalog(session: &Client) -> BTreeSet<String> {
    let rows = session.query(CATALOG, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
