//! One hot stream becomes two pipelines while messages are published, as docs/operations.md
//! describes under "One hot stream".

use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

const HALVES: [&str; 2] = ["a", "b"];

async fn publish(stack: &Stack, numbers: std::ops::Range<u64>) {
    let messages = numbers.map(|number| {
        let half = HALVES[number as usize % HALVES.len()];
        let subject = format!("telemetry.{half}.snmp");
        let message = Generator::new(34).good(Feed::Telemetry, number);
        Message { subject, ..message }
    });
    stack.nats.publish_messages(messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_split_by_subject_without_losing_or_doubling_a_message() {
    let stack = Stack::start().await;
    publish(&stack, 0..200).await;
    stack.expect_rows(Feed::Telemetry, 200, SOON).await;

    stack.disable().await;
    publish(&stack, 200..300).await;
    let streams =
        "telemetry_a, telemetry_b, events, sweep, netflow, otel_metrics, otel_traces, logs";
    let set = async |name: &str, value: &str| {
        stack
            .pg
            .alter_system(&format!("sr_event_writer.{name}"), value)
            .await;
    };
    set("streams", streams).await;
    set("workers", "2").await;
    stack.pg.restart().await;
    for half in HALVES {
        let options = format!("processor=Telemetry subject=telemetry.{half}.>");
        set(&format!("stream_telemetry_{half}"), &options).await;
        let sql = format!(
            "SELECT sr_event_writer_pause('telemetry_{half}');
             SELECT sr_event_writer_seek('telemetry_{half}', floor + 1)
             FROM sr_event_writer.stream_position WHERE pipeline = 'telemetry' AND above = '{{}}'"
        );
        stack.pg.execute(&sql).await;
    }
    stack.enable().await;
    for half in HALVES {
        let sql = format!("SELECT sr_event_writer_resume('telemetry_{half}')");
        stack.pg.execute(&sql).await;
    }

    publish(&stack, 300..400).await;
    stack.expect_rows(Feed::Telemetry, 400, SOON).await;
    let both = "SELECT count(*) FROM sr_event_writer.stream_status
        WHERE name LIKE 'telemetry\\__' AND state = 'running' AND pending = 0 AND rows_total = 100";
    eventually_equal(SOON, "both halves have written theirs", 2_i64, async || {
        stack.pg.try_value(both).await
    })
    .await;
    stack.expect_rows(Feed::Telemetry, 400, SOON).await;
}
