//! Only a leader's statements about the stream are believed: no other answer cuts a position back.

mod tail;

use std::ptr;

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::nats::{Access, Cluster};
use pg_test::stack::Stack;
use pg_test::wait::eventually;
use serde_json::Value;

use crate::fixtures::gaps;
use crate::fixtures::{detail_mentions, stream_status_where};
use crate::nats_faults::{FEED, RECOVERY, builder, expect_exactly, publish};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_before_a_pipeline_existed_is_no_gap() {
    let stack = builder().disabled().start().await;
    publish(&stack.nats, 0..110).await;
    let stream = stack.nats.jetstream().await.get_stream(FEED.stream()).await;
    let purged = stream.unwrap().purge().sequence(101).await;
    assert_eq!(purged.expect("a purge").purged, 100);
    stack.enable().await;
    stack.pg.worker_pid().await;
    eventually(RECOVERY, "ten rows", async || {
        stack.rows(FEED).await.is_ok_and(|rows| rows == 10)
    })
    .await;
    publish(&stack.nats, 110..120).await;
    expect_exactly(&stack, 20).await;
    assert_eq!(gaps(&stack).await, []);
    assert!(!stack.pg.log_contains("were removed from the stream"));
}

const LOGS: Feed = Feed::Logs;

async fn publish_logs(access: &Access, numbers: std::ops::Range<usize>, bytes: usize) {
    let body = "x".repeat(bytes);
    let payloads = numbers.map(|n| format!(r#"{{"span_id":"{n}","body":"{body}"}}"#));
    access.publish_all("logs.app", payloads).await;
}

/// A server that was left alone answers with what its copy has, which is less than was read before.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_left_alone_that_is_behind_takes_nothing_back() {
    let cluster = Cluster::start().await;
    cluster
        .create_stream(&LOGS.stream(), &[&LOGS.subjects()], RetentionPolicy::Limits)
        .await;
    let stack = Stack::builder()
        .without_streams()
        .cluster(&cluster)
        .setting("sr_event_writer.streams", LOGS.name())
        .setting("sr_event_writer.stream_logs", "nats_stream=LOGS")
        .setting("sr_event_writer.retry_max_delay", "1s")
        .start()
        .await;
    publish_logs(&cluster, 0..10, 100).await;
    stack.expect_rows(LOGS, 10, RECOVERY).await;
    let leader = cluster.stream_leader(&LOGS.stream()).await;
    let mut others = cluster.servers().iter().filter(|s| !ptr::eq(*s, leader));
    let (behind, other) = (others.next().unwrap(), others.next().unwrap());
    behind.freeze();
    // More than fits into what the network keeps for a frozen server.
    publish_logs(&cluster, 10..110, 200_000).await;
    stack.expect_rows(LOGS, 110, RECOVERY).await;
    tokio::join!(leader.kill(), other.kill());
    behind.unfreeze();
    stream_status_where(&stack, LOGS, "no leader", detail_mentions("no leader")).await;
    tokio::join!(leader.start(), other.start());
    let more = Generator::new(11).range(LOGS, 110..120);
    cluster.publish_until_stored(more).await;
    stack.expect_rows(LOGS, 120, RECOVERY).await;
    assert!(!stack.pg.log_contains("set back"));
}

/// A restore, or a server that lost power, gives old sequences to new messages.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_set_back_and_has_grown_beyond_what_was_read_is_read_again() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..50).await;
    stack.expect_rows(FEED, 50, RECOVERY).await;
    stack.nats.stop().await;
    let earlier = stack.nats.copy_store();
    stack.nats.start().await;
    publish(&stack.nats, 50..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;
    stack.disable().await;
    stack.nats.stop().await;
    stack.nats.put_back(&earlier);
    stack.nats.start().await;
    publish(&stack.nats, 100..200).await;
    stack.enable().await;
    stack.expect_rows(FEED, 200, RECOVERY).await;
    assert!(stack.pg.log_contains("it was set back; going on behind 50"));
    publish(&stack.nats, 200..210).await;
    expect_exactly(&stack, 210).await;
}

/// If nothing was read, no message shows that the stream was set back; its end does.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_set_back_behind_what_was_left_out_is_read_on_at_its_new_end() {
    let stack = builder().disabled().start().await;
    publish(&stack.nats, 0..50).await;
    stack.nats.stop().await;
    let earlier = stack.nats.copy_store();
    stack.nats.start().await;
    publish(&stack.nats, 50..100).await;
    for sql in [
        "SELECT sr_event_writer_pause('netflow')",
        "SELECT sr_event_writer_seek('netflow', 1000)",
        "SELECT sr_event_writer_resume('netflow')",
    ] {
        stack.pg.execute(sql).await;
    }
    stack.enable().await;
    let floor = "SELECT floor FROM sr_event_writer.stream_position WHERE pipeline = 'netflow'";
    eventually(RECOVERY, "all is left out", async || {
        match stack.pg.try_value::<i64>(floor).await {
            Ok(100) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    stack.disable().await;
    stack.nats.stop().await;
    stack.nats.put_back(&earlier);
    stack.nats.start().await;
    stack.enable().await;
    eventually(RECOVERY, "it is seen", async || {
        stack.pg.log_contains("it was set back; going on behind 50")
    })
    .await;
    publish(&stack.nats, 100..110).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
}

/// Messages that are fetched and not written when the stream is set back would take the sequences
/// of new messages.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_written_while_its_stream_is_set_back_hides_no_new_message() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..50).await;
    stack.expect_rows(FEED, 50, RECOVERY).await;
    stack.nats.stop().await;
    let earlier = stack.nats.copy_store();
    stack.nats.start().await;
    let lock = stack.pg.connect().await;
    let sql = format!(
        "BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
        FEED.table()
    );
    lock.batch_execute(&sql).await.expect("a lock");
    publish(&stack.nats, 50..100).await;
    let name = FEED.consumer();
    eventually(RECOVERY, "all are fetched", async || {
        let info = stack.nats.consumer(&FEED.stream(), &name).await?;
        match info.delivered.stream_sequence {
            100 => Ok(()),
            other => Err(format!("{other}")),
        }
    })
    .await;
    // A batch that is not handed over yet would end with its session.
    let failed = |status: &Value| !status["last_error"].is_null();
    stream_status_where(&stack, FEED, "that the lock is in the way", failed).await;
    stack.nats.stop().await;
    stack.nats.put_back(&earlier);
    stack.nats.start().await;
    publish(&stack.nats, 100..110).await;
    // Written before that is seen, it would only be taken back.
    eventually(RECOVERY, "it is seen", async || {
        stack.pg.log_contains("it was set back")
    })
    .await;
    lock.batch_execute("COMMIT")
        .await
        .expect("the end of the lock");
    let new = format!(
        "SELECT count(*) FROM {} WHERE {} >= 100",
        FEED.table(),
        FEED.marker_column()
    );
    eventually(RECOVERY, "every new message is a row", async || match stack
        .pg
        .try_value::<i64>(&new)
        .await
    {
        Ok(10) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
