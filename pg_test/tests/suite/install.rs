//! Loading, creating, privileges, and starting by itself when a missing object appears.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::{Failure, Options, Postgres};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, throughout};
use serde_json::Value;
use std::time::Duration;
use tokio_postgres::Client;

#[tokio::test(flavor = "multi_thread")]
async fn the_extension_can_be_created_and_tells_its_version() {
    let stack = Stack::builder().disabled().start().await;
    let sql = "SELECT extversion FROM pg_extension WHERE extname = 'sr_event_writer'";
    let created: String = stack.pg.value(sql).await;
    let library: String = stack.pg.value("SELECT sr_event_writer_version()").await;
    assert_eq!(library, created);
    assert_eq!(stack.status().await.unwrap()["version"], library.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_preloading_creating_it_fails_with_a_hint() {
    let options = Options {
        preload: "timescaledb".to_owned(),
        ..Options::default()
    };
    let pg = Postgres::create(options);
    pg.start().await;
    let failure = pg.refused("CREATE EXTENSION sr_event_writer").await;
    assert_eq!(failure.sqlstate(), "55000", "{failure}");
    assert!(
        failure.hint.contains("shared_preload_libraries"),
        "{failure}"
    );
    assert!(
        pg.value::<bool>("SELECT true").await,
        "the server is unharmed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_role_can_neither_control_it_nor_read_payloads() {
    let stack = Stack::builder().disabled().start().await;
    stack.pg.execute("CREATE ROLE nobody_special LOGIN").await;
    let client = stack.pg.connect_as("nobody_special", "postgres").await;
    for sql in [
        "SELECT sr_event_writer_pause()",
        "SELECT sr_event_writer_pause('telemetry')",
        "SELECT sr_event_writer_resume()",
        "SELECT * FROM sr_event_writer.dead_letter",
        "DELETE FROM sr_event_writer.dead_letter",
        "SELECT * FROM sr_event_writer.stream_position",
        "UPDATE sr_event_writer.stream_position SET pipeline = 'x'",
    ] {
        assert_eq!(
            run(&client, sql).await.unwrap_err().sqlstate(),
            "42501",
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_pg_monitor_can_read_the_status_and_nothing_more() {
    let stack = Stack::builder().disabled().start().await;
    stack
        .pg
        .execute("CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
        .await;
    let client = stack.pg.connect_as("watcher", "postgres").await;
    for sql in [
        "SELECT sr_event_writer_status()",
        "SELECT sr_event_writer_version()",
        "SELECT * FROM sr_event_writer.stream_status",
    ] {
        run(&client, sql)
            .await
            .unwrap_or_else(|failure| panic!("{sql}: {failure}"));
    }
    for sql in [
        "SELECT sr_event_writer_pause()",
        "SELECT payload FROM sr_event_writer.dead_letter",
    ] {
        assert_eq!(
            run(&client, sql).await.unwrap_err().sqlstate(),
            "42501",
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_shows_itself_in_pg_stat_activity() {
    let stack = Stack::start().await;
    let pid = stack.pg.worker_pid().await;
    let sql = format!("SELECT datname::text FROM pg_stat_activity WHERE pid = {pid}");
    assert_eq!(stack.pg.value::<String>(&sql).await, "postgres");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_by_itself_when_the_extension_is_created_late() {
    let stack = Stack::builder().without_extension().start().await;
    publish(&stack).await;
    eventually(
        SOON,
        "the log says that the extension is missing",
        async || says(&stack, "CREATE EXTENSION"),
    )
    .await;
    stack.try_create_extension().await.unwrap();
    stack.try_create_tables(true).await.unwrap();
    expect_rows_by_itself(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_by_itself_when_the_database_is_created_late() {
    let stack = Stack::builder().database("later").start().await;
    publish(&stack).await;
    eventually(SOON, "the log names the database", async || {
        says(&stack, "\"later\"")
    })
    .await;
    stack.pg.execute("CREATE DATABASE later").await;
    let client = stack.pg.connect_as("postgres", "later").await;
    for sql in [
        "CREATE EXTENSION IF NOT EXISTS timescaledb",
        "CREATE EXTENSION sr_event_writer",
        "SELECT sr_event_writer_create_tables()",
    ] {
        run(&client, sql)
            .await
            .unwrap_or_else(|failure| panic!("{sql}: {failure}"));
    }
    eventually(SOON, "the rows in database later", async || {
        let row = client
            .query_one("SELECT count(*) FROM timeseries_metrics", &[])
            .await
            .unwrap();
        match row.get::<_, i64>(0) {
            100 => Ok(()),
            rows => Err(rows),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_by_itself_when_nats_starts_late() {
    let stack = Stack::builder().without_nats().start().await;
    eventually(
        SOON,
        "the status says that NATS cannot be reached",
        async || {
            let status = stack
                .status()
                .await
                .map_err(|failure| failure.to_string())?;
            let error = &status["nats"]["last_error"];
            let told =
                status["state"] != "running" && error.as_str().is_some_and(|e| !e.is_empty());
            if told {
                Ok(())
            } else {
                Err(status.to_string())
            }
        },
    )
    .await;
    stack.nats.start().await;
    stack.create_streams().await;
    publish(&stack).await;
    expect_rows_by_itself(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_by_itself_when_a_stream_is_created_late() {
    let stack = Stack::builder().without_streams().start().await;
    stack.create_stream(Feed::Events).await;
    let events = Generator::new(2).range(Feed::Events, 0..100);
    stack.nats.publish_messages(events).await;
    // The streams that are missing do not hold up the one that is there.
    stack.expect_rows(Feed::Events, 100, SOON).await;
    eventually(
        SOON,
        "the status names the subject or the stream that is missing",
        async || {
            let status = stack
                .stream_status(Feed::Telemetry)
                .await
                .map_err(|e| e.to_string())?;
            let detail = status["detail"].as_str().unwrap_or_default().to_lowercase();
            if detail.contains("telemetry") {
                Ok(())
            } else {
                Err(status.to_string())
            }
        },
    )
    .await;
    stack.create_stream(Feed::Telemetry).await;
    publish(&stack).await;
    expect_rows_by_itself(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_it_does_nothing_and_says_so() {
    let stack = Stack::builder().disabled().start().await;
    publish(&stack).await;
    throughout(
        Duration::from_secs(2),
        "no row appears while it is off",
        async || stack.rows(Feed::Telemetry).await.unwrap() == 0,
    )
    .await;
    let status: Value = stack.status().await.unwrap();
    assert_eq!(status["state"], "disabled", "{status}");
}

async fn publish(stack: &Stack) {
    stack
        .nats
        .publish_messages(Generator::new(1).range(Feed::Telemetry, 0..100))
        .await;
}

async fn expect_rows_by_itself(stack: &Stack) {
    stack
        .expect_rows(Feed::Telemetry, 100, Duration::from_secs(60))
        .await;
}

fn says(stack: &Stack, text: &str) -> Result<(), String> {
    let log = stack.pg.log();
    let mut lines = log.lines().filter(|line| line.contains(text));
    lines
        .next()
        .map(drop)
        .ok_or_else(|| pg_test::postgres::tail(&log, 3))
}

async fn run(client: &Client, sql: &str) -> Result<(), Failure> {
    client.batch_execute(sql).await.map_err(Failure::from)
}
