//! Streams that drop acknowledged messages: everything is written once, and nothing stays behind.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::stack::Stack;
use pg_test::wait::{eventually, throughout};

use crate::fixtures::gaps;
use crate::fixtures::stream_is;
use crate::nats_faults::{
    FEED, RECOVERY, behind_a_proxy, builder, expect_exactly, publish, publish_during, rows_go_on,
};

async fn start(retention: RetentionPolicy) -> Stack {
    let stack = builder().without_streams().start().await;
    stack.create_stream_keeping(FEED, retention).await;
    consumer_is_there(&stack).await;
    stack
}

/// An interest stream drops what is published while it has no consumer.
async fn consumer_is_there(stack: &Stack) {
    eventually(RECOVERY, "the consumer is made", async || {
        stack.nats.consumer(&FEED.stream(), &FEED.consumer()).await
    })
    .await;
}

async fn expect_empty(stack: &Stack) {
    eventually(RECOVERY, "the stream is empty", async || {
        match stack.nats.stream_state(&FEED.stream()).await.messages {
            0 => Ok(()),
            left => Err(format!("{left} messages are left")),
        }
    })
    .await;
}

async fn survives_kills(retention: RetentionPolicy) {
    let stack = start(retention).await;
    let faults = async {
        rows_go_on(&stack).await;
        for _ in 0..4 {
            stack.pg.kill_worker().await;
            rows_go_on(&stack).await;
        }
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
    expect_empty(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_queue_is_empty_in_the_end_whatever_was_killed() {
    survives_kills(RetentionPolicy::WorkQueue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interest_stream_is_empty_in_the_end_whatever_was_killed() {
    survives_kills(RetentionPolicy::Interest).await;
}

/// The rows are committed and nothing is acknowledged when the worker dies.
async fn acknowledges_what_an_earlier_worker_wrote(retention: RetentionPolicy) {
    let stack = start(retention).await;
    let standby = "synchronous_standby_names";
    stack
        .pg
        .try_alter_system("sr_event_writer.ack_after", "replicated")
        .await
        .expect("a setting");
    stack.pg.alter_system(standby, "nobody").await;
    publish(&stack.nats, 0..500).await;
    stack.expect_rows(FEED, 500, RECOVERY).await;
    let kept = stack.nats.stream_state(&FEED.stream()).await.messages;
    assert_eq!(kept, 500, "nothing is acknowledged before it is replicated");

    stack.pg.kill_worker().await;
    // Nor is it by the consumer's being set behind it: to an interest stream that is the same.
    publish(&stack.nats, 500..510).await;
    stack.expect_rows(FEED, 510, RECOVERY).await;
    throughout(
        Duration::from_secs(1),
        "everything is kept",
        async || match stack.nats.stream_state(&FEED.stream()).await.messages {
            510 => Ok(()),
            kept => Err(format!("{kept} messages are kept")),
        },
    )
    .await;
    eventually(RECOVERY, "the standby is done without", async || {
        stack.pg.try_alter_system(standby, "").await?;
        stack.pg.try_execute("SELECT pg_reload_conf()").await
    })
    .await;
    expect_empty(&stack).await;
    expect_exactly(&stack, 510).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_queue_does_not_keep_what_an_earlier_worker_wrote() {
    acknowledges_what_an_earlier_worker_wrote(RetentionPolicy::WorkQueue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interest_stream_does_not_keep_what_an_earlier_worker_wrote() {
    acknowledges_what_an_earlier_worker_wrote(RetentionPolicy::Interest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_queue_does_not_keep_what_was_acknowledged_in_vain() {
    let (stack, proxy) = behind_a_proxy(builder().without_streams()).await;
    stack
        .create_stream_keeping(FEED, RetentionPolicy::WorkQueue)
        .await;
    proxy.swallow("$JS.ACK");
    publish(&stack.nats, 0..200).await;
    stack.expect_rows(FEED, 200, RECOVERY).await;
    eventually(
        RECOVERY,
        "200 acknowledgements are lost",
        async || match proxy.lost() {
            200.. => Ok(()),
            lost => Err(format!("{lost} are lost")),
        },
    )
    .await;
    let kept = stack.nats.stream_state(&FEED.stream()).await.messages;
    assert_eq!(kept, 200, "nothing is acknowledged");

    // The session goes on; the server sends them again after a minute.
    proxy.heal();
    expect_empty(&stack).await;
    expect_exactly(&stack, 200).await;
    assert_eq!(proxy.connections(), 1, "the session went on");
}

async fn delete_consumer(stack: &Stack) {
    let context = stack.nats.jetstream().await;
    let stream = context.get_stream(FEED.stream()).await.expect("the stream");
    // After the last time it may not have been created again yet.
    eventually(RECOVERY, "the consumer is deleted", async || {
        stream.delete_consumer(&FEED.consumer()).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_queue_keeps_everything_while_its_consumer_is_deleted_by_hand() {
    let stack = start(RetentionPolicy::WorkQueue).await;
    let faults = async {
        rows_go_on(&stack).await;
        for _ in 0..3 {
            delete_consumer(&stack).await;
            rows_go_on(&stack).await;
            stack.pg.kill_worker().await;
            delete_consumer(&stack).await;
            rows_go_on(&stack).await;
        }
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
    expect_empty(&stack).await;
}

/// Messages that the server drops because nobody is interested are lost, and recorded as a gap.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_interest_stream_drops_without_its_consumer_is_recorded() {
    let stack = start(RetentionPolicy::Interest).await;
    let faults = async {
        rows_go_on(&stack).await;
        delete_consumer(&stack).await;
        rows_go_on(&stack).await;
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    publish(&stack.nats, count..count + 100).await;
    let last = stack.nats.stream_state(&FEED.stream()).await.last_sequence;
    eventually(RECOVERY, "every message is a row or in a gap", async || {
        let lost: i64 = gaps(&stack).await.iter().map(|(a, b)| b - a + 1).sum();
        match stack.rows(FEED).await {
            Ok(rows) if rows + lost == last as i64 => Ok(()),
            rows => Err(format!("{rows:?} rows and {lost} lost of {last}")),
        }
    })
    .await;
    expect_empty(&stack).await;
    let markers = format!(
        "SELECT {}::bigint FROM {}",
        FEED.marker_column(),
        FEED.table()
    );
    let rows = stack.pg.query(&markers, &[]).await;
    let different: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(different.len(), rows.len(), "different messages");
}

/// To the server, the deletion of a message that is on its way is its acknowledgement.
async fn a_deletion_takes_no_other_message_with_it(retention: RetentionPolicy) {
    let stack = start(retention).await;
    let lock = stack.pg.connect().await;
    let sql = format!(
        "BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
        FEED.table()
    );
    lock.batch_execute(&sql).await.expect("a lock");
    publish(&stack.nats, 0..50).await;
    eventually(RECOVERY, "all messages are on their way", async || {
        let found = stack.nats.consumer(&FEED.stream(), &FEED.consumer()).await;
        match found.map(|consumer| consumer.num_ack_pending) {
            Ok(50) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    stack.pg.execute("SELECT sr_event_writer_pause()").await;
    // What is in memory would be written as soon as the lock is gone.
    stream_is(&stack, FEED, "paused").await;
    let stream = stack.nats.jetstream().await.get_stream(FEED.stream()).await;
    let stream = stream.expect("the stream");
    stream.delete_message(50).await.expect("a deletion");
    stack.pg.execute("SELECT sr_event_writer_resume()").await;
    lock.batch_execute("COMMIT")
        .await
        .expect("the end of the lock");

    stack.expect_rows(FEED, 49, RECOVERY).await;
    expect_empty(&stack).await;
    publish(&stack.nats, 50..51).await;
    stack.expect_rows(FEED, 50, RECOVERY).await;
    assert_eq!(gaps(&stack).await, [(50, 50)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_deleted_from_an_interest_stream_takes_no_other_with_it() {
    a_deletion_takes_no_other_message_with_it(RetentionPolicy::Interest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_deleted_from_a_work_queue_takes_no_other_with_it() {
    a_deletion_takes_no_other_message_with_it(RetentionPolicy::WorkQueue).await;
}
