//! The destination is as it is: what fits is written, what is missing is named, and nothing of it
//! is ever changed.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::{assert_unharmed, detail_mentions, stream_status_where};

const GENERATOR_SEED: u64 = 16;

async fn publish(stack: &Stack, feed: Feed, numbers: std::ops::Range<u64>) {
    stack
        .nats
        .publish_messages(Generator::new(GENERATOR_SEED).range(feed, numbers))
        .await;
}

/// A stack whose tables were changed before the first message.
async fn altered(sql: &str) -> Stack {
    let stack = Stack::builder().disabled().start().await;
    stack.pg.execute(sql).await;
    stack.enable().await;
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_the_table_lacks_is_left_out() {
    let stack = altered(
        "ALTER TABLE timeseries_metrics DROP COLUMN scale, DROP COLUMN metadata, DROP COLUMN tags;
         ALTER TABLE timeseries_metrics ADD COLUMN mine text DEFAULT 'default'",
    )
    .await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;
    let sql = "SELECT count(*) FROM timeseries_metrics WHERE mine = 'default' AND unit = 'bytes'";
    assert_eq!(stack.pg.value::<i64>(sql).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_id_takes_what_is_meant_for_poller_id() {
    let stack = altered("ALTER TABLE timeseries_metrics RENAME poller_id TO gateway_id").await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;
    let sql = "SELECT count(*) FROM timeseries_metrics WHERE gateway_id ~ '^poller-[0-3]$'";
    assert_eq!(stack.pg.value::<i64>(sql).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_jsonb_stand_in_for_each_other() {
    let stack = altered(
        "ALTER TABLE timeseries_metrics ALTER COLUMN tags TYPE text;
         ALTER TABLE logs ALTER COLUMN attributes TYPE jsonb USING attributes::jsonb",
    )
    .await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    publish(&stack, Feed::Logs, 0..100).await;
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;
    stack.expect_rows(Feed::Logs, 100, SOON).await;
    let tags = "SELECT count(*) FROM timeseries_metrics WHERE tags::jsonb->>'if' LIKE 'eth%'";
    assert_eq!(stack.pg.value::<i64>(tags).await, 100);
    let attributes = "SELECT count(*) FROM logs WHERE attributes->>'k' = 'v'";
    assert_eq!(stack.pg.value::<i64>(attributes).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_column_that_is_never_filled_pauses_that_pipeline_only_until_it_is_gone() {
    let stack = Stack::start().await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;

    stack
        .pg
        .execute(
            "ALTER TABLE timeseries_metrics ADD COLUMN tenant_id text NOT NULL DEFAULT 'x';
             ALTER TABLE timeseries_metrics ALTER COLUMN tenant_id DROP DEFAULT",
        )
        .await;
    publish(&stack, Feed::Telemetry, 100..200).await;
    publish(&stack, Feed::Events, 0..100).await;
    stack.expect_rows(Feed::Events, 100, SOON).await;
    let named = detail_mentions("tenant_id");
    let what = "that tenant_id is missing";
    let status = stream_status_where(&stack, Feed::Telemetry, what, named).await;
    assert_ne!(status["state"], "running", "{status}");
    assert_eq!(
        stack.dead_letters(Feed::Telemetry).await.unwrap(),
        0,
        "{status}"
    );

    stack
        .pg
        .execute("ALTER TABLE timeseries_metrics ALTER COLUMN tenant_id DROP NOT NULL")
        .await;
    stack.expect_rows(Feed::Telemetry, 200, SOON).await;
    let running = |status: &serde_json::Value| status["state"] == "running";
    stream_status_where(&stack, Feed::Telemetry, "running", running).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_another_type_is_named_and_no_message_is_lost_by_it() {
    let stack =
        altered("ALTER TABLE netflow_metrics ALTER COLUMN src_port TYPE point USING NULL::point")
            .await;
    publish(&stack, Feed::Netflow, 0..100).await;
    let named = detail_mentions("src_port");
    stream_status_where(&stack, Feed::Netflow, "that src_port does not fit", named).await;
    assert_eq!(stack.dead_letters(Feed::Netflow).await.unwrap(), 0);
    stack
        .pg
        .execute(
            "ALTER TABLE netflow_metrics ALTER COLUMN src_port TYPE integer USING NULL::integer",
        )
        .await;
    stack.expect_rows(Feed::Netflow, 100, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_named_and_filled_once_it_is_there() {
    let stack = Stack::builder().without_tables().start().await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    let named = detail_mentions("timeseries_metrics");
    stream_status_where(&stack, Feed::Telemetry, "that the table is missing", named).await;
    stack.try_create_tables(true).await.unwrap();
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;
    assert_eq!(stack.dead_letters(Feed::Telemetry).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_goes_away_and_comes_back_misses_nothing() {
    let stack = Stack::start().await;
    publish(&stack, Feed::Events, 0..100).await;
    stack.expect_rows(Feed::Events, 100, SOON).await;
    stack
        .pg
        .execute("ALTER TABLE events RENAME TO events_away")
        .await;
    publish(&stack, Feed::Events, 100..200).await;
    stream_status_where(
        &stack,
        Feed::Events,
        "that the table is missing",
        detail_mentions("events"),
    )
    .await;
    stack
        .pg
        .execute("ALTER TABLE events_away RENAME TO events")
        .await;
    stack.expect_rows(Feed::Events, 200, SOON).await;
    assert_unharmed(&stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_table_does_as_well() {
    let stack = Stack::builder().plain_tables().start().await;
    let hypertables = "SELECT count(*) FROM timescaledb_information.hypertables";
    assert_eq!(stack.pg.value::<i64>(hypertables).await, 0);
    for feed in Feed::ALL {
        publish(&stack, feed, 0..100).await;
    }
    for feed in Feed::ALL {
        stack.expect_rows(feed, 100, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_another_schema_under_another_name_can_be_the_destination() {
    let stack = Stack::builder()
        .disabled()
        .setting(
            "sr_event_writer.stream_telemetry",
            "table=lake.readings batch_size=7",
        )
        .start()
        .await;
    stack
        .pg
        .execute("CREATE SCHEMA lake; CREATE TABLE lake.readings (LIKE timeseries_metrics INCLUDING ALL)")
        .await;
    stack.enable().await;
    publish(&stack, Feed::Telemetry, 0..100).await;
    eventually(SOON, "the rows in lake.readings", async || {
        match stack
            .pg
            .try_value::<i64>("SELECT count(*) FROM lake.readings")
            .await
        {
            Ok(100) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(stack.rows(Feed::Telemetry).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_on_the_destination_runs_as_the_owner_of_the_table() {
    let stack = altered(
        "CREATE ROLE app_owner;
         CREATE TABLE seen (who text, super boolean);
         GRANT INSERT ON seen TO app_owner;
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
           INSERT INTO seen SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user;
           RETURN NEW;
         END $$;
         ALTER TABLE timeseries_metrics OWNER TO app_owner;
         CREATE TRIGGER note BEFORE INSERT ON timeseries_metrics
           FOR EACH ROW EXECUTE FUNCTION note()",
    )
    .await;
    publish(&stack, Feed::Telemetry, 0..50).await;
    stack.expect_rows(Feed::Telemetry, 50, SOON).await;
    let row = stack
        .pg
        .query_one("SELECT who, super, count(*) FROM seen GROUP BY 1, 2", &[])
        .await;
    let found: (String, bool, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(found, ("app_owner".to_owned(), false, 50));
}
