//! The database decides where a pipeline stands, whatever happened to stream and consumer.

mod gaps;

use crate::fixtures::{gaps, publish, writer_is};
use pg_test::feed::Feed;
use pg_test::postgres::Stop;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually_equal, throughout};
use std::process::Command;
use std::time::Duration;

const FEED: Feed = Feed::Telemetry;

async fn stream(stack: &Stack) -> async_nats::jetstream::stream::Stream {
    let context = stack.nats.jetstream().await;
    context.get_stream(FEED.stream()).await.expect("the stream")
}

async fn distinct(stack: &Stack) -> i64 {
    let sql = format!(
        "SELECT count(DISTINCT {}) FROM {}",
        FEED.marker_column(),
        FEED.table()
    );
    stack.pg.value(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_purged_before_they_were_read_are_a_gap() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..100).await;
    stack.expect_rows(FEED, 100, SOON).await;
    stack.disable().await;
    publish(&stack, FEED, 100..150).await;
    stream(&stack)
        .await
        .purge()
        .sequence(131)
        .await
        .expect("a purge");
    stack.enable().await;

    stack.expect_rows(FEED, 120, SOON).await;
    assert_eq!(gaps(&stack).await, [(101, 130)]);
    assert!(stack.pg.log().contains("sequences 101 to 130"));
    stack.disable().await;
    stack.enable().await;
    publish(&stack, FEED, 150..151).await;
    stack.expect_rows(FEED, 121, SOON).await;
    assert_eq!(gaps(&stack).await.len(), 1, "a gap is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_deleted_in_the_middle_of_the_stream_are_gaps() {
    let stack = Stack::builder().disabled().start().await;
    publish(&stack, FEED, 0..20).await;
    let stream = stream(&stack).await;
    for sequence in [5, 6, 11] {
        stream.delete_message(sequence).await.expect("a deletion");
    }
    stack.enable().await;
    stack.expect_rows(FEED, 17, SOON).await;
    assert_eq!(gaps(&stack).await, [(5, 6), (11, 11)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_created_again_is_read_from_its_first_message() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..30).await;
    stack.expect_rows(FEED, 30, SOON).await;
    let context = stack.nats.jetstream().await;
    context
        .delete_stream(FEED.stream())
        .await
        .expect("a deletion");
    stack.create_stream(FEED).await;
    publish(&stack, FEED, 30..40).await;

    stack.expect_rows(FEED, 40, Duration::from_secs(60)).await;
    assert_eq!(distinct(&stack).await, 40);
    assert!(stack.pg.log().contains("was deleted and created again"));
    let sql = "SELECT count(*) FROM sr_event_writer.stream_position WHERE pipeline = 'telemetry'";
    assert_eq!(stack.pg.value::<i64>(sql).await, 2, "one for each stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_deleted_by_hand_is_created_again_and_doubles_nothing() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..50).await;
    stack.expect_rows(FEED, 50, SOON).await;
    let stream = stream(&stack).await;
    stream
        .delete_consumer(&FEED.consumer())
        .await
        .expect("a deletion");
    publish(&stack, FEED, 50..80).await;
    stack.expect_rows(FEED, 80, Duration::from_secs(60)).await;
    assert_eq!(distinct(&stack).await, 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_set_back_to_an_earlier_day_reads_again_what_it_lacks() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..50).await;
    stack.expect_rows(FEED, 50, SOON).await;
    stack.expect_all_acknowledged(FEED).await;
    stack.pg.stop(Stop::Fast).await;
    let data = stack.pg.data().to_owned();
    let backup = data.with_extension("backup");
    copy(&data, &backup);
    stack.pg.start().await;
    publish(&stack, FEED, 50..120).await;
    stack.expect_rows(FEED, 120, SOON).await;
    stack.expect_all_acknowledged(FEED).await;
    stack.pg.stop(Stop::Fast).await;
    std::fs::remove_dir_all(&data).expect("the data directory is removed");
    copy(&backup, &data);
    stack.pg.start().await;

    stack.expect_rows(FEED, 120, Duration::from_secs(60)).await;
    assert_eq!(distinct(&stack).await, 120);
    assert!(gaps(&stack).await.is_empty());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(done.expect("cp runs").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_and_creating_the_extension_doubles_nothing() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..50).await;
    stack.expect_rows(FEED, 50, SOON).await;
    stack
        .pg
        .execute("DROP EXTENSION sr_event_writer CASCADE")
        .await;
    publish(&stack, FEED, 50..60).await;
    stack.pg.execute("CREATE EXTENSION sr_event_writer").await;
    stack.expect_rows(FEED, 60, Duration::from_secs(60)).await;
    publish(&stack, FEED, 60..70).await;
    stack.expect_rows(FEED, 70, SOON).await;
    assert_eq!(distinct(&stack).await, 70);
}

/// It cannot have asked its streams yet, and remembers all the same.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_extension_under_a_worker_that_has_just_started_doubles_nothing() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..50).await;
    stack.expect_rows(FEED, 50, SOON).await;
    stack.nats.stop().await;
    stack.pg.restart().await;
    writer_is(&stack, "degraded").await;
    let again = "DROP EXTENSION sr_event_writer; CREATE EXTENSION sr_event_writer";
    stack.pg.execute(again).await;
    stack.nats.start().await;
    publish(&stack, FEED, 50..60).await;
    stack.expect_rows(FEED, 60, Duration::from_secs(60)).await;
    assert_eq!(distinct(&stack).await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_of_others_in_the_same_stream_is_no_loss_when_it_goes() {
    let stack = Stack::builder().without_streams().start().await;
    let subjects = FEED.subjects();
    stack
        .nats
        .create_stream(&FEED.stream(), &[&subjects, "other.>"])
        .await;
    publish(&stack, FEED, 0..10).await;
    stack.expect_rows(FEED, 10, SOON).await;
    let others = (0..100).map(|n| format!("{n}"));
    stack.nats.publish_all("other.x", others).await;
    let floor = "SELECT floor FROM sr_event_writer.stream_position WHERE pipeline = 'telemetry'";
    let within = Duration::from_secs(60);
    eventually_equal(within, "the quiet stream is recorded", 110, async || {
        stack.pg.try_value::<i64>(floor).await
    })
    .await;
    stack.disable().await;
    stream(&stack)
        .await
        .purge()
        .sequence(100)
        .await
        .expect("a purge");
    stack.enable().await;
    publish(&stack, FEED, 10..20).await;
    stack.expect_rows(FEED, 20, SOON).await;
    throughout(Duration::from_secs(1), "no gap", async || {
        gaps(&stack).await.is_empty()
    })
    .await;
}
