//! A fetched batch is written even if its session ends and its stream is purged or created again
//! before that.

use async_nats::jetstream::stream::Stream;
use pg_test::messages::Generator;
use pg_test::nats::Access;
use pg_test::stack::Stack;
use pg_test::wait::eventually;
use serde_json::Value;

use crate::fixtures::gaps;
use crate::fixtures::{detail_mentions, stream_status_where};
use crate::nats_faults::{FEED, RECOVERY, builder, expect_exactly, publish};

/// Exactly one batch, handed over at its last message.
const BATCH: u64 = 40;
const OPTIONS: &str = "batch_size=40 batch_timeout=10min";

async fn stream(access: &Access) -> Stream {
    let stream = access.jetstream().await.get_stream(FEED.stream()).await;
    stream.expect("the stream")
}

/// Makes the table fail like a faulty server, or stops that. Unlike a lock, this does not make
/// transactions smaller.
async fn sick(stack: &Stack, sick: bool) {
    let body = match sick {
        true => "RAISE EXCEPTION 'unwell' USING ERRCODE = '58030';",
        false => "",
    };
    let sql = format!(
        "CREATE OR REPLACE FUNCTION sick() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN {body} RETURN NEW; END$$;
         CREATE OR REPLACE TRIGGER sick BEFORE INSERT ON {}
            FOR EACH ROW EXECUTE FUNCTION sick()",
        FEED.table()
    );
    stack.pg.execute(&sql).await;
}

/// A stack with one batch of rows, and one that waits until the table is well again.
async fn with_a_batch_in_hand() -> Stack {
    let stack = builder()
        .setting("sr_event_writer.stream_netflow", OPTIONS)
        .setting("sr_event_writer.breaker_failures", "1000")
        .start()
        .await;
    publish(&stack.nats, 0..BATCH).await;
    stack.expect_rows(FEED, BATCH, RECOVERY).await;
    sick(&stack, true).await;
    publish(&stack.nats, BATCH..2 * BATCH).await;
    stream_status_where(&stack, FEED, "that it waits", detail_mentions("58030")).await;
    stack
}

/// The name that the session has written into its consumer.
async fn session(stack: &Stack) -> Result<String, String> {
    let info = stack
        .nats
        .consumer(&FEED.stream(), &FEED.consumer())
        .await?;
    let name = info.config.metadata.get("sr_event_writer.session");
    name.cloned().ok_or_else(|| "nobody".to_owned())
}

/// Ends the session, and waits until the next one knows where the database stands.
async fn another_session(stack: &Stack) {
    let before = session(stack).await.expect("a session");
    let deleted = stream(&stack.nats)
        .await
        .delete_consumer(&FEED.consumer())
        .await;
    deleted.expect("the end of the session");
    eventually(RECOVERY, "another session", async || {
        match session(stack).await {
            Ok(name) if name != before => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Waits until two batches are in memory, and have been tried together.
async fn both_were_tried(stack: &Stack) {
    let both = |status: &Value| status["pending"] == 2 * BATCH;
    let status = stream_status_where(stack, FEED, "that both wait", both).await;
    let tried = status["retries_total"].as_u64().expect("a number");
    // The second one from now on began with both.
    let again = |status: &Value| status["retries_total"].as_u64() > Some(tried + 1);
    stream_status_where(stack, FEED, "further tries", again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_comes_once_more_with_a_new_session_is_written_once() {
    let stack = with_a_batch_in_hand().await;
    another_session(&stack).await;
    both_were_tried(&stack).await;
    sick(&stack, false).await;
    expect_exactly(&stack, 2 * BATCH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_before_a_purge_and_a_new_session_is_written_and_no_gap() {
    let stack = with_a_batch_in_hand().await;
    let stream = stream(&stack.nats).await;
    stream.purge().await.expect("a purge");
    another_session(&stack).await;
    sick(&stack, false).await;
    stack.expect_rows(FEED, 2 * BATCH, RECOVERY).await;
    publish(&stack.nats, 2 * BATCH..3 * BATCH).await;
    expect_exactly(&stack, 3 * BATCH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_stream_and_of_its_successor_are_recorded_apart() {
    let stack = with_a_batch_in_hand().await;
    stack.nats.delete_stream(&FEED.stream()).await;
    stack.create_stream(FEED).await;
    // Under the sequences of those that are rows already.
    let successors = Generator::new(11).range(FEED, 2 * BATCH..3 * BATCH);
    stack.nats.publish_messages(successors).await;
    both_were_tried(&stack).await;
    sick(&stack, false).await;
    stack.expect_rows(FEED, 3 * BATCH, RECOVERY).await;
    let sql =
        "SELECT array_agg(floor ORDER BY stream_created) FROM sr_event_writer.stream_position";
    assert_eq!(stack.pg.value::<Vec<i64>>(sql).await, [80, 40]);
    assert_eq!(gaps(&stack).await, []);
}
