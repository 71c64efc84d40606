//! Positions that a worker has in memory are recorded before it ends, even if no further message
//! arrives.

use pg_test::wait::eventually;

use crate::nats_faults::{FEED, RECOVERY, builder, expect_exactly, publish};

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_only_the_worker_remembers_is_recorded_before_anything_new_comes() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..50).await;
    stack.expect_rows(FEED, 50, RECOVERY).await;
    let again = "DROP EXTENSION sr_event_writer; CREATE EXTENSION sr_event_writer";
    stack.pg.execute(again).await;
    let sql = "SELECT floor FROM sr_event_writer.stream_position WHERE pipeline = 'netflow'";
    eventually(RECOVERY, "the position is recorded", async || {
        match stack.pg.try_value::<i64>(sql).await {
            Ok(50) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    stack.pg.restart().await;
    publish(&stack.nats, 50..60).await;
    expect_exactly(&stack, 60).await;
}
