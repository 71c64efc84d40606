//! Rows are written by COPY or by INSERT, and they are the same either way.

mod absent;
mod copy;
mod random;

use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

/// Enough for several batches that are large enough for COPY.
const MESSAGES: u64 = 400;

/// A second pipeline for each feed, into a table with a rule: that one is always inserted into.
pub fn second_pipelines(builder: pg_test::stack::Builder) -> pg_test::stack::Builder {
    let names = Feed::ALL.iter().map(|feed| feed.name());
    let seconds = Feed::ALL
        .iter()
        .map(|feed| format!("second_{}", feed.name()));
    let all: Vec<_> = names.map(str::to_owned).chain(seconds).collect();
    let mut builder = builder.setting("sr_event_writer.streams", &all.join(","));
    for feed in Feed::ALL {
        let options = second_options(feed, "batch_size=100");
        let setting = format!("sr_event_writer.stream_second_{}", feed.name());
        builder = builder.setting(&setting, &options);
    }
    builder
}

/// Options of the second pipeline of a feed.
pub fn second_options(feed: Feed, more: &str) -> String {
    let (name, subjects, table) = (feed.name(), feed.subjects(), feed.table());
    format!("processor={name} subject={subjects} table=second.{table} {more}")
}

pub async fn create_second_tables(stack: &Stack) {
    stack.pg.execute("CREATE SCHEMA second").await;
    for feed in Feed::ALL {
        let table = feed.table();
        let sql = format!(
            "CREATE TABLE second.{table} (LIKE public.{table} INCLUDING ALL);
             CREATE RULE inserted AS ON DELETE TO second.{table} DO ALSO NOTHING"
        );
        stack.pg.execute(&sql).await;
    }
}

/// Rows that are in one table only, whichever: the first of them, to the last digit.
pub async fn differing_rows(stack: &Stack, feed: Feed) -> Vec<String> {
    let rows = |schema: &str| {
        let table = feed.table();
        // Without the last column, created_at.
        format!("SELECT regexp_replace(t::text, ',[^,]*$', '') FROM {schema}.{table} t")
    };
    let (first, second) = (rows("public"), rows("second"));
    let sql = format!(
        "SELECT way || left(d, 1000) FROM (
            SELECT 'first: ', d FROM ({first} EXCEPT ALL {second}) d (d)
            UNION ALL
            SELECT 'second: ', d FROM ({second} EXCEPT ALL {first}) d (d)
        ) differing (way, d) ORDER BY d LIMIT 6"
    );
    let rows = stack.pg.query(&sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Payloads that a careless encoding would spoil.
fn odd_payloads() -> Vec<Message> {
    [
        r#"{"value":1e308,"metric_name":"größe ✓ 🦀","tags":{"a":1.50,"b":123456789012345678901234567890}}"#,
        r#"{"value":"-0","metric_name":"","unit":"\u0000","metadata":"[1,null,{\"x\":[]}]"}"#,
        r#"{"value":-1.5,"timestamp":"0001-01-01T00:00:00Z","if_index":-2147483648,"scale":1e-300}"#,
        r#"[{"value":1},{"value":2,"is_delta":true},{"value":3,"tags":{}}]"#,
        r#"{"value":4,"timestamp":1767026614,"tags":{"deep":{"er":[[[{"k":"\"\\\u00e9"}]]]}}}"#,
    ]
    .into_iter()
    .map(|payload| Message::plain("telemetry.odd", payload))
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_and_inserted_rows_are_the_same() {
    let stack = second_pipelines(Stack::builder().disabled()).start().await;
    create_second_tables(&stack).await;
    let generator = Generator::new(30);
    for feed in Feed::ALL {
        let messages = generator.range(feed, 0..MESSAGES);
        stack.nats.publish_messages(messages).await;
    }
    stack.nats.publish_messages(odd_payloads()).await;
    stack.enable().await;
    for feed in Feed::ALL {
        let odd = if feed == Feed::Telemetry { 7 } else { 0 };
        let expected = MESSAGES as i64 + odd;
        for schema in ["public", "second"] {
            let sql = format!("SELECT count(*) FROM {schema}.{}", feed.table());
            let what = format!("{schema}.{} is complete", feed.table());
            eventually_equal(SOON, what, expected, async || {
                stack.pg.try_value::<i64>(&sql).await
            })
            .await;
        }
        let differing = differing_rows(&stack, feed).await;
        assert!(differing.is_empty(), "{}: {differing:?}", feed.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_keys_cost_no_other_row_and_make_no_dead_letter() {
    let stack = Stack::builder().disabled().start().await;
    let generator = Generator::new(31);
    for feed in [Feed::Sweep, Feed::Events, Feed::Logs] {
        let first = generator.range(feed, 0..MESSAGES);
        stack.nats.publish_messages(first).await;
        let overlapping = generator.range(feed, MESSAGES / 2..MESSAGES * 2);
        stack.nats.publish_messages(overlapping).await;
    }
    stack.enable().await;
    for feed in [Feed::Sweep, Feed::Events, Feed::Logs] {
        stack.expect_rows(feed, MESSAGES * 2, SOON).await;
        stack.expect_all_acknowledged(feed).await;
        let letters = stack.dead_letters(feed).await;
        assert_eq!(letters.expect("a count"), 0, "{}", feed.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_on_the_destination_is_obeyed() {
    let stack = Stack::builder().disabled().plain_tables().start().await;
    let sql = "CREATE TABLE seen (name text);
        CREATE RULE also AS ON INSERT TO timeseries_metrics
            DO ALSO INSERT INTO seen VALUES (NEW.metric_name)";
    stack.pg.execute(sql).await;
    let messages = Generator::new(32).range(Feed::Telemetry, 0..MESSAGES);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    stack.expect_rows(Feed::Telemetry, MESSAGES, SOON).await;
    let seen = stack.pg.value::<i64>("SELECT count(*) FROM seen").await;
    assert_eq!(seen, MESSAGES as i64);
}
