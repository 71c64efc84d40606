//! What the stream says about itself is believed only when its leader says it: a record is cut for
//! nothing less.

use pg_test::wait::eventually;

use crate::nats_faults::{FEED, RECOVERY, builder, expect_exactly, gaps, publish};

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
