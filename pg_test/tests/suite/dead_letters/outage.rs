//! Dead letters that are written while NATS is away.

use pg_test::stack::SOON;
use pg_test::wait::{eventually, eventually_equal};

use crate::nats_faults::{FEED, builder, stream_says};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_written_while_nats_is_away_is_published_afterwards() {
    let stack = builder()
        .setting("sr_event_writer.dead_letter_subject", "dead")
        .start()
        .await;
    stack.nats.create_stream("DEAD", &["dead.>"]).await;
    let other = stack.pg.connect().await;
    let lock = "BEGIN; LOCK TABLE sr_event_writer.dead_letter IN ACCESS EXCLUSIVE MODE";
    other.batch_execute(lock).await.expect("a lock");
    stack.nats.publish_all("netflow.bad", ["no JSON"]).await;
    stream_says(&stack, SOON, "degraded", &["lock"]).await;
    stack.nats.stop().await;
    other.batch_execute("COMMIT").await.expect("a commit");
    eventually_equal(SOON, "dead letters", 1, async || {
        stack.dead_letters(FEED).await
    })
    .await;
    stack.nats.start().await;
    eventually(SOON, "it is published", async || {
        stack.nats.stream_state("DEAD").await.messages == 1
    })
    .await;
}
