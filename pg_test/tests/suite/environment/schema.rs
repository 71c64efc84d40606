//! A table that no longer fits pauses only its own pipeline, which resumes as soon as the table is
//! corrected, while messages flow on seven streams.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;
use serde_json::Value;

use crate::fixtures::{
    assert_unharmed, detail_mentions, expect_exactly_once, rows_are_added, stream_is,
    stream_status_where, under_load,
};

/// The table is checked every two seconds, so a correction is noticed soon.
const SECONDS: Duration = Duration::from_secs(8);

/// Something done to a table, what the pipeline says to it, and what undoes it.
struct Harm {
    feed: Feed,
    harm: &'static str,
    named: &'static str,
    mend: &'static str,
}

const HARMS: [Harm; 6] = [
    Harm {
        feed: Feed::Telemetry,
        harm: "ALTER TABLE timeseries_metrics ADD COLUMN tenant text NOT NULL DEFAULT 'x';
            ALTER TABLE timeseries_metrics ALTER COLUMN tenant DROP DEFAULT",
        named: "tenant",
        mend: "ALTER TABLE timeseries_metrics ALTER COLUMN tenant SET DEFAULT 'y'",
    },
    Harm {
        feed: Feed::Netflow,
        harm: "ALTER TABLE netflow_metrics ALTER COLUMN src_port TYPE point USING NULL::point",
        named: "src_port",
        mend: "ALTER TABLE netflow_metrics
            ALTER COLUMN src_port TYPE integer USING NULL::integer",
    },
    Harm {
        feed: Feed::Logs,
        harm: "ALTER TABLE logs OWNER TO app; REVOKE INSERT ON logs FROM app",
        named: "permission denied",
        mend: "GRANT INSERT ON logs TO app",
    },
    Harm {
        feed: Feed::OtelTraces,
        harm: "ALTER TABLE otel_traces RENAME TO away",
        named: "does not exist",
        mend: "ALTER TABLE away RENAME TO otel_traces",
    },
    Harm {
        feed: Feed::OtelMetrics,
        harm: "ALTER TABLE otel_metrics RENAME COLUMN \"timestamp\" TO moment",
        named: "timestamp",
        mend: "ALTER TABLE otel_metrics RENAME COLUMN moment TO \"timestamp\"",
    },
    Harm {
        feed: Feed::Events,
        harm: "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM * FROM nowhere; RETURN NEW; END$$;
             CREATE TRIGGER broken BEFORE INSERT ON events
                FOR EACH ROW EXECUTE FUNCTION broken()",
        named: "nowhere",
        mend: "DROP TRIGGER broken ON events",
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_of_seven_flowing_streams_pauses_for_its_own_table_only_and_resumes_in_seconds() {
    let stack = Stack::builder().without_keys().start().await;
    stack
        .pg
        .execute("CREATE ROLE app; GRANT USAGE ON SCHEMA public TO app")
        .await;
    let faults = async {
        for feed in Feed::ALL {
            rows_are_added(&stack, feed, SOON).await;
        }
        for Harm {
            feed,
            harm,
            named,
            mend,
        } in HARMS
        {
            stack.pg.execute(harm).await;
            let names = detail_mentions(named);
            let paused = |status: &Value| status["state"] == "paused" && names(status);
            stream_status_where(&stack, feed, named, paused).await;
            for other in Feed::ALL.into_iter().filter(|other| *other != feed) {
                rows_are_added(&stack, other, SECONDS).await;
            }
            stack.pg.execute(mend).await;
            rows_are_added(&stack, feed, SECONDS).await;
            stream_is(&stack, feed, "running").await;
        }
    };
    let (count, ()) = under_load(&stack, &Feed::ALL, 0, faults).await;
    expect_exactly_once(&stack, &Feed::ALL, count).await;
    let status = stack.status().await.unwrap();
    assert_eq!(status["breaker"]["failures"], 0, "{status}");
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_table_may_become_a_hypertable_or_another_table_while_messages_flow() {
    let stack = Stack::builder().plain_tables().without_keys().start().await;
    let feeds = [Feed::Logs, Feed::OtelTraces, Feed::Telemetry];
    let work = async {
        for feed in feeds {
            rows_are_added(&stack, feed, SOON).await;
        }
        stack
            .pg
            .execute(
                "SELECT create_hypertable('logs', by_range('timestamp'), migrate_data => true);
                 SELECT create_hypertable('otel_traces', by_range('timestamp'),
                    migrate_data => true);
                 BEGIN;
                 LOCK TABLE timeseries_metrics IN ACCESS EXCLUSIVE MODE;
                 CREATE TABLE other (LIKE timeseries_metrics INCLUDING ALL);
                 INSERT INTO other TABLE timeseries_metrics;
                 DROP TABLE timeseries_metrics;
                 ALTER TABLE other RENAME TO timeseries_metrics;
                 COMMIT",
            )
            .await;
        for feed in feeds {
            rows_are_added(&stack, feed, SOON).await;
        }
    };
    let (count, ()) = under_load(&stack, &feeds, 0, work).await;
    expect_exactly_once(&stack, &feeds, count).await;
    let sql = "SELECT (SELECT count(*) FROM ONLY logs) + (SELECT count(*) FROM ONLY otel_traces)";
    assert_eq!(
        stack.pg.value::<i64>(sql).await,
        0,
        "rows beside the chunks"
    );
    assert_unharmed(&stack);
}

/// Changes a table at the very moment at which the worker waits for it with a batch.
async fn change_under_a_waiting_batch(stack: &Stack, table: &str, change: &str) {
    let session = stack.pg.connect().await;
    let sql = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    session.batch_execute(&sql).await.unwrap();
    let sql = format!(
        "SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND NOT granted"
    );
    eventually(SOON, "the worker waits for the table", async || {
        session.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    let sql = format!("{change}; COMMIT");
    session.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_while_a_batch_waits_for_it_costs_no_message() {
    let stack = Stack::builder().plain_tables().without_keys().start().await;
    let feeds = [Feed::Logs, Feed::OtelTraces];
    let work = async {
        for round in 0..3 {
            for feed in feeds {
                rows_are_added(&stack, feed, SOON).await;
            }
            // The binary form of the one is not that of the other.
            let other = ["bigint", "integer", "bigint"][round];
            let change = format!("ALTER TABLE logs ALTER COLUMN severity_number TYPE {other}");
            change_under_a_waiting_batch(&stack, "logs", &change).await;
        }
        let change = "SELECT create_hypertable('otel_traces', by_range('timestamp'),
            migrate_data => true)";
        change_under_a_waiting_batch(&stack, "otel_traces", change).await;
        for feed in feeds {
            rows_are_added(&stack, feed, SOON).await;
        }
    };
    let (count, ()) = under_load(&stack, &feeds, 0, work).await;
    expect_exactly_once(&stack, &feeds, count).await;
    assert_unharmed(&stack);
}
