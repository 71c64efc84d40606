//! The same error may concern one row or the whole table; other rows of the table show which.

use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use pg_test::postgres::Failure;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

use crate::fixtures::{assert_unharmed, stream_is};

const GENERATOR_SEED: u64 = 15;

fn telemetry(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Message> {
    Generator::new(GENERATOR_SEED).range(Feed::Telemetry, numbers)
}

/// A trigger on `timeseries_metrics` that runs this for each row.
fn trigger(body: &str) -> String {
    format!(
        "CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body} RETURN NEW; END$$;
         CREATE TRIGGER judge BEFORE INSERT ON timeseries_metrics
            FOR EACH ROW EXECUTE FUNCTION judge()"
    )
}

/// A hundred messages that wait, for a table that was changed by `sql`.
async fn a_hundred_for(sql: &str) -> Stack {
    let stack = Stack::builder().disabled().start().await;
    stack.pg.execute(sql).await;
    stack.nats.publish_messages(telemetry(0..100)).await;
    stack.enable().await;
    stack
}

/// Waits until there are so many rows and dead letters.
async fn expect(stack: &Stack, feed: Feed, rows: i64, dead_letters: i64) {
    let expected = format!("{rows} and {dead_letters}");
    eventually_equal(SOON, "rows and dead letters", expected, async || {
        let found = stack.rows(feed).await?;
        let letters = stack.dead_letters(feed).await?;
        Ok::<_, Failure>(format!("{found} and {letters}"))
    })
    .await;
}

/// The statements that let a policy hold for the table's owner as well. `check` is its condition
/// for new rows.
fn forced_row_security(check: &str) -> String {
    format!(
        "CREATE ROLE app; GRANT USAGE ON SCHEMA public TO app;
         ALTER TABLE timeseries_metrics OWNER TO app;
         ALTER TABLE timeseries_metrics ENABLE ROW LEVEL SECURITY;
         ALTER TABLE timeseries_metrics FORCE ROW LEVEL SECURITY;
         CREATE POLICY mine ON timeseries_metrics USING (true) {check}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_row_level_security_refuses_costs_only_its_message() {
    let stack = a_hundred_for(&forced_row_security("WITH CHECK (value <> 37)")).await;
    expect(&stack, Feed::Telemetry, 99, 1).await;
    stack.expect_all_acknowledged(Feed::Telemetry).await;
    assert_unharmed(&stack);
}

/// COPY would fail first, and the rows would be written in many small transactions.
#[tokio::test(flavor = "multi_thread")]
async fn rows_for_a_table_with_forced_row_security_are_inserted_at_once() {
    let stack = a_hundred_for(&forced_row_security("")).await;
    expect(&stack, Feed::Telemetry, 100, 0).await;
    let further =
        "SELECT (SELECT count(DISTINCT xmin::text) FROM timeseries_metrics) - batches_total
        FROM sr_event_writer.stream_status WHERE name = 'telemetry'";
    let what = "one transaction for each batch";
    eventually_equal(SOON, what, 0, async || {
        stack.pg.try_value::<i64>(further).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_trigger_calls_unsupported_cost_only_their_messages() {
    // At the end of the batch, and next to each other.
    let body = "IF NEW.value >= 97 THEN
        RAISE 'cannot INSERT into frozen chunk' USING ERRCODE = '0A000'; END IF;";
    let stack = a_hundred_for(&trigger(body)).await;
    expect(&stack, Feed::Telemetry, 97, 3).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_alone_is_held_until_others_show_that_the_table_is_well() {
    let body = "IF NEW.value = 0 THEN RAISE 'not this one' USING ERRCODE = '0A000'; END IF;";
    let stack = Stack::builder().disabled().start().await;
    stack.pg.execute(&trigger(body)).await;
    stack.enable().await;
    stack.nats.publish_messages(telemetry(0..1)).await;
    stream_is(&stack, Feed::Telemetry, "paused").await;
    expect(&stack, Feed::Telemetry, 0, 0).await;
    stack.nats.publish_messages(telemetry(1..3)).await;
    expect(&stack, Feed::Telemetry, 2, 1).await;
    stream_is(&stack, Feed::Telemetry, "running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_every_row_costs_no_message() {
    let stack = a_hundred_for(&trigger("PERFORM * FROM nowhere;")).await;
    stream_is(&stack, Feed::Telemetry, "paused").await;
    stack.nats.publish_messages(telemetry(100..200)).await;
    stream_is(&stack, Feed::Telemetry, "paused").await;
    stack
        .pg
        .execute("DROP TRIGGER judge ON timeseries_metrics")
        .await;
    expect(&stack, Feed::Telemetry, 200, 0).await;
    let status = stack.status().await.unwrap();
    assert_eq!(status["breaker"]["failures"], 0, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_one_statement_is_met_by_smaller_ones_and_does_not_open_the_breaker() {
    let sql = "CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            IF (SELECT count(*) FROM new) > 10 OR EXISTS (SELECT FROM new WHERE value = 5) THEN
                RAISE 'limit exceeded by operation' USING ERRCODE = '53400'; END IF;
            RETURN NULL; END$$;
        CREATE TRIGGER few AFTER INSERT ON timeseries_metrics REFERENCING NEW TABLE AS new
            FOR EACH STATEMENT EXECUTE FUNCTION few()";
    let stack = Stack::builder().disabled().plain_tables().start().await;
    stack.pg.execute(sql).await;
    stack.nats.publish_messages(telemetry(0..100)).await;
    stack.enable().await;
    expect(&stack, Feed::Telemetry, 99, 1).await;
    let status = stack.status().await.unwrap();
    assert_eq!(status["breaker"]["failures"], 0, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferrable_key_takes_rows_and_a_taken_one_costs_only_its_message() {
    let stack = Stack::builder().disabled().plain_tables().start().await;
    stack
        .pg
        .execute(
            "ALTER TABLE logs DROP CONSTRAINT IF EXISTS logs_pkey;
             ALTER TABLE logs ADD PRIMARY KEY (span_id) DEFERRABLE INITIALLY DEFERRED",
        )
        .await;
    stack.enable().await;
    let generator = Generator::new(GENERATOR_SEED);
    stack
        .nats
        .publish_messages(generator.range(Feed::Logs, 0..10))
        .await;
    expect(&stack, Feed::Logs, 10, 0).await;
    stack
        .nats
        .publish_messages(generator.range(Feed::Logs, 9..60))
        .await;
    expect(&stack, Feed::Logs, 60, 1).await;
    assert_unharmed(&stack);
}
