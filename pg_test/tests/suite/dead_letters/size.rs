//! A limit for the size of all dead letters.

use pg_test::feed::Feed;
use pg_test::messages::Message;
use pg_test::random::Random;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal};

const FEED: Feed = Feed::Logs;
const KILOBYTE: i64 = 1 << 10;
const LIMIT: &str = "4MB";
/// Dead letters of 100 kB each that cannot be compressed: five times the limit.
const LETTERS: usize = 200;
const BYTES: usize = 100_000;

/// Publishes messages that cannot be decoded.
async fn publish(stack: &Stack, count: usize) {
    let mut random = Random::new(count as u64);
    let messages = (0..count).map(|_| {
        let payload: Vec<u8> = (0..BYTES).map(|_| random.below(256) as u8).collect();
        Message::plain("logs.odd", payload)
    });
    stack.nats.publish_messages(messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_dead_letters_make_room_and_one_that_is_replayed_stays() {
    let builder = Stack::builder();
    let builder = builder.setting("sr_event_writer.dead_letter_max_size", LIMIT);
    let stack = builder.start().await;
    publish(&stack, 1).await;
    eventually_equal(SOON, "dead letters", 1, async || {
        stack.dead_letters(FEED).await
    })
    .await;
    let replaying = stack.pg.connect().await;
    let lock = "BEGIN; SELECT FROM sr_event_writer.dead_letter WHERE sequence = 1 FOR UPDATE";
    replaying.batch_execute(lock).await.unwrap();

    publish(&stack, LETTERS).await;
    let written = async || {
        let status = stack.stream_status(FEED).await?;
        Ok::<_, pg_test::postgres::Failure>(status["dead_letters_total"].as_u64().unwrap_or(0))
    };
    eventually_equal(SOON, "dead letters in all", LETTERS as u64 + 1, written).await;
    let sql = "SELECT sum(length(payload))::bigint, min(sequence), max(sequence),
            count(*), count(*) FILTER (WHERE sequence = 2) FROM sr_event_writer.dead_letter";
    let left = eventually(SOON, "the letters are below the limit", async || {
        let row = stack.pg.query_one(sql, &[]).await;
        let bytes: i64 = row.get(0);
        match bytes <= 4 * KILOBYTE * KILOBYTE {
            true => Ok(row),
            false => Err(format!("{} kB", bytes / KILOBYTE)),
        }
    })
    .await;
    assert_eq!(left.get::<_, i64>(1), 1, "the one that is replayed");
    assert_eq!(left.get::<_, i64>(2), LETTERS as i64 + 1, "the newest");
    assert_eq!(left.get::<_, i64>(4), 0, "the oldest of the others");
    let count: i64 = left.get(3);
    assert!((30..=42).contains(&count), "{count} letters are left");

    eventually(SOON, "the status shows it", async || {
        let status = stack.status().await.map_err(|e| e.to_string())?;
        let letters = &status["dead_letters"];
        let expected = LETTERS as i64 + 1 - count;
        match (letters["removed_total"].as_i64(), letters["bytes"].as_i64()) {
            (Some(removed), Some(bytes))
                if removed == expected && bytes <= 4 * KILOBYTE * KILOBYTE =>
            {
                Ok(())
            }
            _ => Err(status.to_string()),
        }
    })
    .await;
    let log = stack.pg.log();
    let warnings = log.matches("more than sr_event_writer.dead_letter_max_size");
    assert_eq!(warnings.count(), 1, "warnings");
    replaying.batch_execute("ROLLBACK").await.unwrap();
}
