//! Settings take effect without a restart.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::throughout;

use crate::fixtures::writer_is;

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_how_long_a_batch_waits_and_loses_nothing() {
    let key = "sr_event_writer.stream_telemetry";
    let slow = "batch_size=10000 batch_timeout=5min";
    let stack = Stack::builder().setting(key, slow).start().await;
    writer_is(&stack, "running").await;
    let generator = Generator::new(18);
    stack
        .nats
        .publish_messages(generator.range(Feed::Telemetry, 0..50))
        .await;
    throughout(
        Duration::from_secs(3),
        "an unfinished batch waits",
        async || stack.rows(Feed::Telemetry).await.unwrap() == 0,
    )
    .await;
    stack
        .pg
        .alter_system(key, "batch_size=10000 batch_timeout=100ms")
        .await;
    stack.expect_rows(Feed::Telemetry, 50, SOON).await;

    let reload = async {
        for size in 1..=20 {
            let options = format!("batch_size={} batch_timeout=100ms", size * 10);
            stack.pg.alter_system(key, &options).await;
        }
    };
    let publish = stack
        .nats
        .publish_messages(generator.range(Feed::Telemetry, 50..20_050));
    tokio::join!(reload, publish);
    stack.expect_rows(Feed::Telemetry, 20_050, SOON).await;
    stack.expect_all_acknowledged(Feed::Telemetry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_switched_off_and_on_again() {
    let stack = Stack::start().await;
    let generator = Generator::new(19);
    stack
        .nats
        .publish_messages(generator.range(Feed::Telemetry, 0..100))
        .await;
    stack.expect_rows(Feed::Telemetry, 100, SOON).await;
    stack.disable().await;
    writer_is(&stack, "disabled").await;
    stack
        .nats
        .publish_messages(generator.range(Feed::Telemetry, 100..200))
        .await;
    throughout(
        Duration::from_secs(2),
        "nothing is written while it is off",
        async || stack.rows(Feed::Telemetry).await.unwrap() == 100,
    )
    .await;
    stack.enable().await;
    stack.expect_rows(Feed::Telemetry, 200, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_pipelines_that_are_listed_run() {
    let stack = Stack::builder()
        .setting("sr_event_writer.streams", "logs, events")
        .start()
        .await;
    let generator = Generator::new(20);
    for feed in Feed::ALL {
        stack
            .nats
            .publish_messages(generator.range(feed, 0..50))
            .await;
    }
    stack.expect_rows(Feed::Logs, 50, SOON).await;
    stack.expect_rows(Feed::Events, 50, SOON).await;
    assert_eq!(stack.rows(Feed::Telemetry).await.unwrap(), 0);
    let names: Vec<String> = stack
        .pg
        .value("SELECT array_agg(name) FROM sr_event_writer.stream_status")
        .await;
    assert_eq!(names, ["logs", "events"]);
}
