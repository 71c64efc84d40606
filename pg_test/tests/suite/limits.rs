//! Limits that an administrator sets take effect, and a payload is kept whatever bytes it has.

use std::time::{Duration, Instant, SystemTime};

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal};

const FEED: Feed = Feed::Netflow;

/// A message of so many seconds from now.
fn at(seconds: i64, number: u64) -> Message {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_secs()).expect("a time");
    let payload = format!(r#"{{"timestamp":{},"octets":{number}}}"#, now + seconds);
    Message::plain("netflow.flows", payload)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_long_ago_and_of_a_far_future_are_set_aside() {
    let stack = Stack::builder()
        .setting("sr_event_writer.max_message_age", "1h")
        .setting("sr_event_writer.max_message_future", "2h")
        .start()
        .await;
    let hour = 3600;
    let times = [-2 * hour, -hour / 2, 0, hour, 3 * hour];
    let messages = times
        .iter()
        .zip(0..)
        .map(|(&seconds, number)| at(seconds, number));
    let sequences = stack.nats.publish_messages(messages).await;
    stack.expect_rows(FEED, 3, SOON).await;
    let letters = "SELECT array_agg(sequence ORDER BY sequence) FROM sr_event_writer.dead_letter";
    let expected = vec![sequences[0] as i64, sequences[4] as i64];
    eventually(SOON, "two dead letters", async || {
        let found: Option<Vec<i64>> = stack.pg.value(letters).await;
        match found {
            Some(found) if found == expected => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
    let octets = "SELECT array_agg(octets::bigint ORDER BY octets) FROM netflow_metrics";
    assert_eq!(stack.pg.value::<Vec<i64>>(octets).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_messages_are_read_in_a_second_than_max_rate_says() {
    const RATE: f64 = 50.0;
    let stack = Stack::builder()
        .disabled()
        .setting(
            "sr_event_writer.stream_netflow",
            "max_rate=50 batch_timeout=100ms",
        )
        .start()
        .await;
    let messages = Generator::new(65).range(FEED, 0..250);
    stack.nats.publish_messages(messages).await;
    let began = Instant::now();
    stack.enable().await;
    stack.expect_rows(FEED, 250, SOON).await;
    // A burst of a tenth of a second is free.
    let shortest = Duration::from_secs_f64(250.0 / RATE - 0.2);
    assert!(began.elapsed() >= shortest, "{:?}", began.elapsed());
}

/// Else the server would send again what is being written.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_waits_for_an_acknowledgement_longer_than_two_batches_may_take() {
    for (insert_timeout, seconds) in [("1s", 60), ("40s", 80)] {
        let stack = Stack::builder()
            .without_streams()
            .setting("sr_event_writer.insert_timeout", insert_timeout)
            .start()
            .await;
        let (name, subjects) = (FEED.stream(), FEED.subjects());
        stack
            .nats
            .create_stream_keeping(&name, &[&subjects], RetentionPolicy::WorkQueue)
            .await;
        let consumer = eventually(SOON, "the consumer", async || {
            stack.nats.consumer(&name, &FEED.consumer()).await
        });
        let waits = consumer.await.config.ack_wait;
        assert_eq!(waits, Duration::from_secs(seconds), "{insert_timeout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_keeps_every_byte_of_its_payload() {
    let stack = Stack::start().await;
    let payload: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let message = Message::plain("netflow.odd", payload.clone());
    stack.nats.publish_messages([message]).await;
    eventually_equal(SOON, "dead letters", 1, async || {
        stack.dead_letters(FEED).await
    })
    .await;
    let sql = "SELECT payload FROM sr_event_writer.dead_letter";
    assert_eq!(stack.pg.value::<Vec<u8>>(sql).await, payload);
}
