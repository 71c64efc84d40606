//! Where a seek leads: a sequence, a time, the end of the stream; and when it is refused.

use std::time::Duration;

use pg_test::stack::Stack;
use pg_test::wait::throughout;

use super::{FEED, become_rows, gap, gaps, pause, resume, seek, stay_rows};
use crate::fixtures::publish;

/// So long that two points in time are told apart.
const MOMENT: Duration = Duration::from_millis(50);

/// While the writer is off, nothing shows that a pipeline is paused.
async fn pause_anyway(stack: &Stack) {
    let sql = "SELECT sr_event_writer_pause('netflow')";
    stack.pg.execute(sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_paused_pipeline_can_be_moved() {
    let stack = Stack::builder().disabled().start().await;
    for target in ["5", "now()"] {
        let sql = format!("SELECT sr_event_writer_seek('netflow', {target})");
        let failure = stack.pg.refused(&sql).await;
        assert_eq!(failure.sqlstate(), "55000", "{failure}");
        assert!(
            failure.hint.contains("sr_event_writer_pause('netflow')"),
            "{failure}"
        );
        let failure = stack.pg.refused(&sql.replace("netflow", "nothing")).await;
        assert_eq!(failure.sqlstate(), "22023", "{failure}");
    }
    pause_anyway(&stack).await;
    for target in ["0", "-1", "timestamptz 'infinity'"] {
        let sql = format!("SELECT sr_event_writer_seek('netflow', {target})");
        let failure = stack.pg.refused(&sql).await;
        assert_eq!(failure.sqlstate(), "22023", "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_end_means_the_end() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..10).await;
    become_rows(&stack, 10).await;
    pause(&stack).await;
    publish(&stack, FEED, 10..20).await;
    seek(&stack, "1000000").await;
    assert_eq!(gaps(&stack).await, [gap(11, 20)]);
    publish(&stack, FEED, 20..30).await;
    stay_rows(&stack, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_means_the_first_message_published_then_or_later() {
    let stack = Stack::builder().disabled().start().await;
    publish(&stack, FEED, 0..40).await;
    // The clocks of both servers are one. A message lies well before and well after.
    throughout(MOMENT, "time goes by", async || true).await;
    let moment: String = stack.pg.value("SELECT clock_timestamp()::text").await;
    throughout(MOMENT, "time goes by", async || true).await;
    publish(&stack, FEED, 40..100).await;
    // Removed messages are no obstacle.
    let jetstream = stack.nats.jetstream().await;
    let stream = jetstream.get_stream(FEED.stream()).await.unwrap();
    for sequence in (30..=45).chain([100]) {
        stream.delete_message(sequence).await.unwrap();
    }
    pause_anyway(&stack).await;
    let sql = format!("SELECT sr_event_writer_seek('netflow', '{moment}'::timestamptz)");
    stack.pg.execute(&sql).await;
    stack.enable().await;
    resume(&stack).await;
    become_rows(&stack, 54).await;
    let lowest: i64 = stack
        .pg
        .value("SELECT min(octets) FROM netflow_metrics")
        .await;
    assert_eq!(lowest, 45);

    let text = seek(&stack, &format!("'{moment}'::timestamptz, true")).await;
    assert!(text.contains("time"), "{text}");
    stay_rows(&stack, 108).await;
    seek(&stack, "now() + interval '1 day'").await;
    publish(&stack, FEED, 100..110).await;
    stay_rows(&stack, 118).await;
    seek(&stack, "'1999-01-01'::timestamptz").await;
    stay_rows(&stack, 118 + 29).await;
}
