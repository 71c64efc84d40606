//! Waiting until a sequence is recorded.

use std::time::{Duration, Instant};

use pg_test::stack::Stack;

use super::FEED;
use crate::fixtures::{publish, writer_is};

async fn rows(stack: &Stack) -> i64 {
    stack.rows(FEED).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_sequence_sees_its_row() {
    let stack = Stack::start().await;
    writer_is(&stack, "running").await;
    for number in 0..20 {
        let sequence = publish(&stack, FEED, number..number + 1).await[0];
        // Begun before the commit, so a snapshot of its own would not do.
        let sql = format!("SELECT sr_event_writer_wait('netflow', {sequence})");
        assert!(stack.pg.value::<bool>(&sql).await);
        assert_eq!(rows(&stack).await, number as i64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_works_while_messages_flow_and_in_any_kind_of_transaction() {
    let stack = Stack::start().await;
    writer_is(&stack, "running").await;
    let flow = publish(&stack, FEED, 0..20_000);
    let wait = async {
        let client = stack.pg.connect().await;
        for begin in ["BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ"] {
            client.batch_execute(begin).await.unwrap();
            client.batch_execute("SELECT 1").await.unwrap();
            let sql = "SELECT sr_event_writer_wait('netflow', 20000, '60 s')";
            assert!(client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
            client.batch_execute("COMMIT").await.unwrap();
            assert_eq!(rows(&stack).await, 20_000);
        }
    };
    tokio::join!(flow, wait);
    // The record says it too, when no worker has shown anything yet.
    stack.disable().await;
    stack.pg.restart().await;
    for (sequence, recorded) in [(20_000, true), (20_001, false)] {
        let sql = format!("SELECT sr_event_writer_wait('netflow', {sequence}, '0')");
        assert_eq!(stack.pg.value::<bool>(&sql).await, recorded, "{sequence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_at_its_timeout_and_when_it_is_cancelled() {
    let stack = Stack::start().await;
    let began = Instant::now();
    let sql = "SELECT sr_event_writer_wait('netflow', 1, '300 ms')";
    assert!(!stack.pg.value::<bool>(sql).await);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");

    let began = Instant::now();
    let failure = stack
        .pg
        .refused("SET statement_timeout = '300ms'; SELECT sr_event_writer_wait('netflow', 1)")
        .await;
    assert_eq!(failure.sqlstate(), "57014", "{failure}");
    assert!(began.elapsed() < Duration::from_secs(3));
    let failure = stack
        .pg
        .refused("SELECT sr_event_writer_wait('netflows', 1)")
        .await;
    assert_eq!(failure.sqlstate(), "22023", "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_behind_a_hole_is_told_from_one_in_the_hole() {
    let stack = Stack::builder().disabled().start().await;
    let insert = "INSERT INTO sr_event_writer.stream_position
                  (pipeline, stream, stream_created, floor, above)
                  VALUES ('netflow', 'NETFLOW', now(), 4, '{[7,9]}')";
    stack.pg.execute(insert).await;
    for (sequence, recorded) in [(4, true), (5, false), (7, true), (9, true), (10, false)] {
        let sql = format!("SELECT sr_event_writer_wait('netflow', {sequence}, '0')");
        assert_eq!(stack.pg.value::<bool>(&sql).await, recorded, "{sequence}");
    }
}
