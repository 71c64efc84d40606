//! A pipeline that reads some subjects of a stream skips the messages in between.

use pg_test::messages::{Generator, Message};
use pg_test::stack::Stack;
use pg_test::wait::{eventually, eventually_equal, throughout};

use std::time::Duration;

use serde_json::json;

use crate::fixtures::gaps;
use crate::nats_faults::edited::pause;
use crate::nats_faults::{FEED, RECOVERY, builder, expect_exactly, publish};

/// Two of six consecutive messages are for others, and their order varies.
const SUBJECTS: [&str; 6] = ["a", "others", "b", "a", "b", "others"];

fn subject(number: u64) -> &'static str {
    SUBJECTS[(number % 6 + number / 7) as usize % 6]
}

fn message(number: u64) -> Message {
    let mut message = Generator::new(12).good(FEED, number);
    message.subject = format!("netflow.{}", subject(number));
    message
}

fn ours(numbers: std::ops::Range<u64>) -> u64 {
    numbers.filter(|&n| subject(n) != "others").count() as u64
}

/// Ranges above the floor of the position.
async fn ranges(stack: &Stack) -> i64 {
    let sql = "SELECT coalesce(max((SELECT count(*) FROM unnest(above))), 0)
        FROM sr_event_writer.stream_position";
    eventually(RECOVERY, "PostgreSQL answers", async || {
        stack.pg.try_value(sql).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_others_come_and_go_without_a_gap_and_the_position_stays_small() {
    let stack = builder()
        .setting(
            "sr_event_writer.stream_netflow",
            "subject=netflow.a,netflow.b",
        )
        .start()
        .await;
    let context = stack.nats.jetstream().await;
    let stream = context.get_stream(FEED.stream()).await.expect("the stream");
    let mut sent = 0;
    for round in 0..4 {
        let more = 3_000;
        let published = stack
            .nats
            .publish_messages((sent..sent + more).map(message));
        let mut most = 0;
        let written = async {
            for _ in 0..10 {
                most = most.max(ranges(&stack).await);
            }
        };
        let (sequences, ()) = tokio::join!(published, written);
        // Some of the others' messages go at once, the older ones on the way.
        let others = (sent..sent + more)
            .zip(sequences)
            .filter(|(n, _)| subject(*n) == "others");
        for (_, sequence) in others.step_by(50) {
            stream.delete_message(sequence).await.expect("a deletion");
        }
        sent += more;
        stack.expect_rows(FEED, ours(0..sent), RECOVERY).await;
        most = most.max(ranges(&stack).await);
        assert!(most <= 3, "{most} ranges above the floor");
        match round {
            0 => stack.pg.kill_worker().await,
            1 => drop(
                stream
                    .purge()
                    .filter("netflow.others")
                    .await
                    .expect("a purge"),
            ),
            2 => {
                stack.disable().await;
                stack.enable().await;
            }
            _ => {}
        }
    }
    stack.expect_all_acknowledged(FEED).await;
    // Long enough to look around in a quiet stream.
    throughout(Duration::from_secs(12), "there is no gap", async || {
        gaps(&stack).await.is_empty()
    })
    .await;
    assert_eq!(ranges(&stack).await, 0, "a quiet stream is recorded");
    stack.expect_rows(FEED, ours(0..sent), RECOVERY).await;
}

async fn set_subjects(stack: &Stack, subjects: &[&str]) {
    let context = stack.nats.jetstream().await;
    let stream = context.get_stream(FEED.stream()).await.expect("the stream");
    let mut config = stream.cached_info().config.clone();
    config.subjects = subjects.iter().map(|&subject| subject.to_owned()).collect();
    context.update_stream(config).await.expect("an update");
}

async fn consumer_has_filter(stack: &Stack, filter: &str) {
    let filter = filter.to_owned();
    eventually_equal(RECOVERY, "the consumer's filter", filter, async || {
        let info = stack.nats.consumer(&FEED.stream(), &FEED.consumer()).await;
        info.map(|info| info.config.filter_subject)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_stream_is_read_without_a_filter_and_what_others_left_in_it_is_passed_over() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    consumer_has_filter(&stack, "").await;

    stack.disable().await;
    set_subjects(&stack, &["netflow.>", "others.>"]).await;
    stack.nats.publish_all("others.x", ["not ours"; 5]).await;
    publish(&stack.nats, 10..20).await;
    stack.nats.publish_all("others.x", ["not ours"; 5]).await;
    set_subjects(&stack, &["netflow.>"]).await;
    stack.enable().await;
    expect_exactly(&stack, 20).await;
    consumer_has_filter(&stack, "").await;

    set_subjects(&stack, &["netflow.>", "others.>"]).await;
    stack.nats.publish_all("others.x", ["not ours"; 5]).await;
    consumer_has_filter(&stack, "netflow.>").await;
    publish(&stack.nats, 20..30).await;
    expect_exactly(&stack, 30).await;
}

/// Until then a sequence that does not come is a message that was removed; from then on it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_further_subjects_from_now_on_has_no_gaps_by_that() {
    let stack = builder().start().await;
    let context = stack.nats.jetstream().await;
    let stream = context.get_stream(FEED.stream()).await.expect("the stream");
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;

    let mut config = stream.cached_info().config.clone();
    config.subjects.push("others.>".to_owned());
    context.update_stream(config).await.expect("an update");
    for number in 10..20 {
        stack.nats.publish_all("others.x", ["not ours"; 3]).await;
        publish(&stack.nats, number..number + 1).await;
    }
    expect_exactly(&stack, 20).await;
    stack.nats.publish_all("others.x", ["not ours"]).await;
    let floor = "SELECT floor FROM sr_event_writer.stream_position";
    eventually_equal(RECOVERY, "the quiet stream is recorded", 51, async || {
        stack.pg.try_value::<i64>(floor).await
    })
    .await;
    expect_exactly(&stack, 20).await;
}

/// A stream that was all ours takes further subjects, and loses some of them before they are read.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_from_a_stream_that_takes_further_subjects_is_no_gap_when_it_is_not_ours() {
    let stack = builder().start().await;
    let context = stack.nats.jetstream().await;
    let stream = context.get_stream(FEED.stream()).await.expect("the stream");
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;

    // So that the session goes on and is sent nothing before it is gone.
    let pause_until = json!({ "pause_until": "2100-01-01T00:00:00Z" });
    pause(&stack.nats, pause_until).await;
    set_subjects(&stack, &["netflow.>", "others.>"]).await;
    stack.nats.publish_all("others.x", ["not ours"; 3]).await;
    publish(&stack.nats, 10..11).await;
    let purged = stream.purge().filter("others.x").await.expect("a purge");
    assert_eq!(purged.purged, 3);
    pause(&stack.nats, json!({})).await;
    expect_exactly(&stack, 11).await;
    assert_eq!(gaps(&stack).await, [], "gaps");
}
