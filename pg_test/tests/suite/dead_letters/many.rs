//! Many dead letters at once, and published ones that would be read again.

use pg_test::feed::Feed;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

use crate::fixtures::writer_is;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_expired_letters_are_gone_soon() {
    let builder = Stack::builder().disabled();
    let builder = builder.setting("sr_event_writer.dead_letter_retention", "1h");
    let stack = builder.start().await;
    stack
        .pg
        .execute(
            "INSERT INTO sr_event_writer.dead_letter (received_at, stream, stage)
             SELECT now() - interval '1 day', 'logs', 'decode' FROM generate_series(1, 50000);
             INSERT INTO sr_event_writer.dead_letter (stream, stage) VALUES ('logs', 'decode')",
        )
        .await;
    stack.enable().await;
    eventually_equal(SOON, "dead letters", 1, async || {
        stack.dead_letters(Feed::Logs).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_for_notices_that_a_pipeline_reads_is_refused_with_the_reason() {
    let builder = Stack::builder();
    let builder = builder.setting("sr_event_writer.dead_letter_subject", "logs.dead");
    let stack = builder.start().await;
    writer_is(&stack, "misconfigured").await;
    let status = stack.status().await.unwrap().to_string();
    assert!(status.contains("dead letters would come back"), "{status}");
}
