//! Daily administration while messages flow: nothing hangs on the worker, and it neither loses nor
//! duplicates a message.

mod deferred;

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::postgres::Stop;
use pg_test::process;
use pg_test::stack::{Builder, SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::{assert_unharmed, expect_exactly_once, rows_are_added, under_load};

/// On both workers, if there are two. No table has a unique key that would hide a second copy.
const FEEDS: [Feed; 4] = [Feed::Telemetry, Feed::Events, Feed::Netflow, Feed::Logs];

/// Longer than any of this takes on a slow machine, and shorter than a lock that nobody releases.
const PROMPT: Duration = Duration::from_secs(20);

const ADMINISTRATION: [&str; 26] = [
    "CREATE DATABASE other TEMPLATE template0",
    "DROP DATABASE other",
    "VACUUM FULL timeseries_metrics",
    "VACUUM FULL sr_event_writer.stream_position",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",
    "CREATE INDEX mine ON logs (service_name, \"timestamp\")",
    "REINDEX TABLE logs",
    "DROP INDEX mine",
    "ALTER TABLE logs ADD COLUMN extra integer DEFAULT 7",
    "ALTER TABLE logs DROP COLUMN extra",
    "ALTER TABLE logs ALTER COLUMN severity_text TYPE varchar(100)",
    "BEGIN; TRUNCATE logs; ROLLBACK",
    "BEGIN; DROP TABLE netflow_metrics; ROLLBACK",
    "ALTER TABLE netflow_metrics OWNER TO app",
    "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RETURN NEW; END$$",
    "CREATE TRIGGER nothing BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION nothing()",
    "DROP TRIGGER nothing ON events",
    "CREATE PUBLICATION everything FOR ALL TABLES",
    "DROP PUBLICATION everything",
    "SELECT set_chunk_time_interval('logs', interval '10 minutes')",
    "INSERT INTO timeseries_metrics SELECT (jsonb_populate_record(t, jsonb_build_object(
        'timestamp', now() - interval '60 days', 'value', -1))).* FROM timeseries_metrics t LIMIT 1",
    "SELECT drop_chunks('timeseries_metrics', older_than => interval '30 days')",
    "ALTER EXTENSION timescaledb UPDATE",
    "ALTER EXTENSION sr_event_writer UPDATE",
    "SELECT pg_switch_wal()",
];

fn with_workers(count: u32) -> Builder {
    Stack::builder()
        .without_keys()
        .setting("sr_event_writer.workers", &count.to_string())
}

/// Runs it in a session of its own, without a hang.
async fn promptly(stack: &Stack, sql: &str) {
    let session = stack.pg.connect().await;
    let done = tokio::time::timeout(PROMPT, session.batch_execute(sql)).await;
    done.unwrap_or_else(|_| panic!("after {PROMPT:?} this is not done: {sql}"))
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

async fn workers(stack: &Stack) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sr_event_writer'";
    let rows = stack.pg.query(sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn messages_flow(stack: &Stack) {
    for feed in FEEDS {
        rows_are_added(stack, feed, SOON).await;
    }
}

async fn administer(count: u32) {
    let stack = with_workers(count).start().await;
    stack
        .pg
        .execute("CREATE ROLE app; GRANT CREATE, USAGE ON SCHEMA public TO app")
        .await;
    let work = async {
        messages_flow(&stack).await;
        let before = workers(&stack).await;
        assert_eq!(before.len(), count as usize);
        for sql in ADMINISTRATION {
            promptly(&stack, sql).await;
        }
        messages_flow(&stack).await;
        assert_eq!(workers(&stack).await, before, "no worker was ended by it");
    };
    let (count, ()) = under_load(&stack, &FEEDS, 0, work).await;
    expect_exactly_once(&stack, &FEEDS, count).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_does_not_hang_on_the_worker_while_messages_flow() {
    administer(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_does_not_hang_on_two_workers_while_messages_flow() {
    administer(2).await;
}

async fn disturb(count: u32) {
    let stack = with_workers(count).start().await;
    let work = async {
        messages_flow(&stack).await;
        let before = workers(&stack).await;
        for _ in 0..20 {
            let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'sr_event_writer'";
            stack.pg.execute(cancel).await;
            rows_are_added(&stack, Feed::Logs, SOON).await;
        }
        assert_eq!(workers(&stack).await, before, "a cancel ends no worker");
        for round in 1..=20 {
            let size = if round % 2 == 0 { "50" } else { "150" };
            stack
                .pg
                .alter_system("sr_event_writer.batch_size", size)
                .await;
        }
        messages_flow(&stack).await;
        for _ in 0..5 {
            stack.pg.execute("SELECT sr_event_writer_pause()").await;
            stack.pg.execute("SELECT sr_event_writer_resume()").await;
            stack.disable().await;
            stack.enable().await;
            rows_are_added(&stack, Feed::Logs, SOON).await;
        }
        assert_eq!(workers(&stack).await, before, "a reload ends no worker");
        for end in [
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'sr_event_writer'",
            "SELECT sr_event_writer_restart()",
        ] {
            let old = workers(&stack).await;
            stack.pg.execute(end).await;
            eventually(SOON, "the ended workers are gone", async || {
                !old.iter().any(|&pid| process::alive(pid))
            })
            .await;
            messages_flow(&stack).await;
        }
    };
    let (count, ()) = under_load(&stack, &FEEDS, 0, work).await;
    expect_exactly_once(&stack, &FEEDS, count).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancels_reloads_and_terminations_lose_and_double_nothing() {
    disturb(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancels_reloads_and_terminations_of_two_workers_lose_and_double_nothing() {
    disturb(2).await;
}

async fn drop_and_create(count: u32) {
    let stack = with_workers(count).start().await;
    let work = async {
        for _ in 0..3 {
            messages_flow(&stack).await;
            promptly(&stack, "DROP EXTENSION sr_event_writer CASCADE").await;
            promptly(&stack, "CREATE EXTENSION sr_event_writer").await;
            messages_flow(&stack).await;
            // Slowly as well, so that the workers see that it is gone.
            promptly(&stack, "DROP EXTENSION sr_event_writer CASCADE").await;
            let gone = "sr_event_writer does not exist";
            eventually(SOON, "the workers notice", async || {
                stack.pg.log().matches(gone).count() >= count as usize
            })
            .await;
            promptly(&stack, "CREATE EXTENSION sr_event_writer").await;
        }
        messages_flow(&stack).await;
    };
    let (published, ()) = under_load(&stack, &FEEDS, 0, work).await;
    expect_exactly_once(&stack, &FEEDS, published).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_and_creating_the_extension_under_load_loses_and_doubles_nothing() {
    drop_and_create(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_and_creating_the_extension_under_two_workers_loses_and_doubles_nothing() {
    drop_and_create(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smart_shutdown_waits_for_clients_and_not_for_the_worker() {
    let stack = Stack::builder().without_keys().start().await;
    let work = async {
        messages_flow(&stack).await;
        let took = stack.pg.stop(Stop::Smart).await;
        assert!(took < PROMPT, "pg_ctl stop -m smart took {took:?}");
        stack.pg.start().await;
        messages_flow(&stack).await;
    };
    let (count, ()) = under_load(&stack, &FEEDS, 0, work).await;
    expect_exactly_once(&stack, &FEEDS, count).await;
    assert_unharmed(&stack);
}
