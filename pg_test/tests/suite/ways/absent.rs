//! A cell that is absent takes the column's default, whichever way its row is written. No format
//! leaves a cell out yet, so a build with faults makes every NULL absent.

use pg_test::feed::Feed;
use pg_test::messages::Message;
use pg_test::stack::{SOON, Stack};

use crate::fixtures::FAULTY_LIBRARY;

async fn stack() -> Stack {
    let (key, value) = FAULTY_LIBRARY;
    let builder = Stack::builder().setting(key, value);
    let builder = builder.setting("sr_event_writer.fault", "null_is_absent");
    builder.plain_tables().disabled().start().await
}

/// Messages that give those of the columns whose bit is set in their number.
fn messages(columns: &'static [&'static str], count: u64) -> impl Iterator<Item = Message> {
    (0..count).map(move |number| {
        let given = (0..).zip(columns).filter(|(bit, _)| number >> bit & 1 == 1);
        let given: String = given
            .map(|(_, column)| format!(r#","{column}":"given""#))
            .collect();
        let payload = format!(r#"{{"timestamp":1767026614,"value":{number}{given}}}"#);
        Message::plain("telemetry.absent", payload)
    })
}

/// Writes them as a backlog, and asserts what stands in each column.
async fn each_column_is_given_or_has_its_default(columns: &'static [&'static str]) {
    const COUNT: u64 = 400;
    let stack = stack().await;
    for column in columns {
        let alter = format!("ALTER COLUMN {column} SET DEFAULT 'default'");
        stack
            .pg
            .execute(&format!("ALTER TABLE timeseries_metrics {alter}"))
            .await;
    }
    stack.nats.publish_messages(messages(columns, COUNT)).await;
    stack.enable().await;
    stack.expect_rows(Feed::Telemetry, COUNT, SOON).await;
    for (bit, column) in columns.iter().enumerate() {
        let wrong = format!(
            "SELECT count(*) FROM timeseries_metrics WHERE scale IS NOT NULL OR {column} IS
                DISTINCT FROM CASE value::int >> {bit} & 1 WHEN 1 THEN 'given' ELSE 'default' END"
        );
        assert_eq!(stack.pg.value::<i64>(&wrong).await, 0, "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_cell_takes_its_default_when_few_groups_of_rows_are_copied() {
    each_column_is_given_or_has_its_default(&["unit", "device_id"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_cell_takes_its_default_when_rows_differ_too_much_to_be_copied() {
    let columns = &[
        "unit",
        "device_id",
        "agent_id",
        "partition",
        "target_device_ip",
    ];
    each_column_is_given_or_has_its_default(columns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_cell_does_not_erase_what_an_earlier_message_has_written() {
    let stack = stack().await;
    let defaults = "ALTER level SET DEFAULT 99, ALTER short_message SET DEFAULT 'default'";
    stack
        .pg
        .execute(&format!("ALTER TABLE events {defaults}"))
        .await;
    let event = |rest: &str| {
        let payload = format!(r#"{{"id":"e","time":1767026614{rest}}}"#);
        Message::plain("events.absent", payload)
    };
    let events = [
        event(r#","level":3"#),
        event(r#","message":"first""#),
        event(r#","message":"second""#),
    ];
    stack.nats.publish_messages(events).await;
    stack.enable().await;
    stack.expect_rows(Feed::Events, 1, SOON).await;
    let row = stack
        .pg
        .query_one("SELECT level, short_message FROM events", &[])
        .await;
    assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1)), (3, "second"));
}
