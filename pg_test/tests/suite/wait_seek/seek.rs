//! Which messages are read after a seek, and which are not.

use pg_test::messages::Message;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

use super::{FEED, become_rows, gap, gaps, pause, resume, seek, stay_rows};
use crate::fixtures::{publish, writer_is};

#[tokio::test(flavor = "multi_thread")]
async fn going_back_doubles_nothing_unless_it_is_forced() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..100).await;
    become_rows(&stack, 100).await;

    let text = seek(&stack, "51").await;
    assert!(
        text.contains("51 to 100") && text.contains("force"),
        "{text}"
    );
    publish(&stack, FEED, 100..110).await;
    stay_rows(&stack, 110).await;

    let text = seek(&stack, "51, force => true").await;
    assert!(
        text.contains("51 to 110") && text.contains("again"),
        "{text}"
    );
    stay_rows(&stack, 170).await;
    let sql = "SELECT count(*) FROM (SELECT octets FROM netflow_metrics
               GROUP BY 1 HAVING count(*) = 2 AND octets >= 50) twice";
    assert_eq!(stack.pg.value::<i64>(sql).await, 60);
    stack.expect_all_acknowledged(FEED).await;
    assert_eq!(gaps(&stack).await, []);

    // Once is enough, also after a crash.
    stack.pg.kill_all().await;
    stack.pg.start().await;
    publish(&stack, FEED, 110..120).await;
    stay_rows(&stack, 180).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_forward_leaves_messages_out_and_says_so_and_going_back_reads_them_after_all() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..10).await;
    become_rows(&stack, 10).await;
    pause(&stack).await;
    publish(&stack, FEED, 10..100).await;

    let text = seek(&stack, "61").await;
    assert!(text.contains("11 to 60"), "{text}");
    stay_rows(&stack, 50).await;
    assert_eq!(gaps(&stack).await, [gap(11, 60)]);
    stack.expect_all_acknowledged(FEED).await;
    let sql = "SELECT sr_event_writer_wait('netflow', 30, '5 s')";
    assert!(
        stack.pg.value::<bool>(sql).await,
        "left out is recorded too"
    );

    // It was a mistake: a part of them, and then all of them.
    seek(&stack, "41").await;
    stay_rows(&stack, 70).await;
    assert_eq!(gaps(&stack).await, [gap(11, 40)]);
    seek(&stack, "1").await;
    stack.expect_rows(FEED, 100, SOON).await;
    stay_rows(&stack, 100).await;
    assert_eq!(gaps(&stack).await, []);
    stack.expect_all_acknowledged(FEED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_belongs_to_its_transaction_and_survives_a_restart() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..50).await;
    become_rows(&stack, 50).await;
    pause(&stack).await;
    stack
        .pg
        .execute("BEGIN; SELECT sr_event_writer_seek('netflow', 1, true); ROLLBACK")
        .await;
    resume(&stack).await;
    stay_rows(&stack, 50).await;

    pause(&stack).await;
    stack
        .pg
        .execute("SELECT sr_event_writer_seek('netflow', 41, true)")
        .await;
    stack.pg.kill_all().await;
    stack.pg.start().await;
    stay_rows(&stack, 50).await;
    resume(&stack).await;
    stay_rows(&stack, 60).await;

    // A pause that nobody could see is none the less one.
    stack
        .pg
        .execute(
            "BEGIN; SELECT sr_event_writer_pause('netflow');
             SELECT sr_event_writer_seek('netflow', 46, true);
             SELECT sr_event_writer_resume('netflow'); COMMIT",
        )
        .await;
    stay_rows(&stack, 65).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_ends_without_a_message_of_the_pipeline_is_closed() {
    let stack = Stack::builder()
        .setting("sr_event_writer.stream_netflow", "subject=netflow.flows")
        .start()
        .await;
    publish(&stack, FEED, 0..5).await;
    let other = Message::plain("netflow.other", "{}");
    stack.nats.publish_messages([other.clone(), other]).await;
    publish(&stack, FEED, 5..10).await;
    become_rows(&stack, 10).await;
    // As if 3 to 7 had been lost on the way; 6 and 7 belong to another pipeline.
    stack.disable().await;
    writer_is(&stack, "disabled").await;
    stack
        .pg
        .execute(
            "UPDATE sr_event_writer.stream_position SET floor = 2, above = '{[8,12]}'
             WHERE pipeline = 'netflow';
             DELETE FROM netflow_metrics WHERE octets BETWEEN 2 AND 4",
        )
        .await;
    stack.enable().await;
    become_rows(&stack, 10).await;
    publish(&stack, FEED, 10..11).await;
    let sql = "SELECT floor FROM sr_event_writer.stream_position WHERE pipeline = 'netflow'";
    eventually_equal(SOON, "the floor", 13_i64, async || {
        stack.pg.try_value(sql).await
    })
    .await;
    stay_rows(&stack, 11).await;
}
