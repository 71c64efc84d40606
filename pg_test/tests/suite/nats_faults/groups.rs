//! Somebody makes the consumer of a pipeline serve groups of clients, none of which includes the
//! worker.

use async_nats::jetstream::consumer::{FromConsumer, PriorityPolicy, pull};
use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::stack::Stack;
use pg_test::wait::eventually;

use crate::nats_faults::{FEED, RECOVERY, builder, expect_exactly, publish};

async fn policy(stack: &Stack) -> Result<PriorityPolicy, String> {
    let info = stack
        .nats
        .consumer(&FEED.stream(), &FEED.consumer())
        .await?;
    Ok(info.config.priority_policy)
}

async fn serve_groups(stack: &Stack) {
    let info = stack.nats.consumer(&FEED.stream(), &FEED.consumer()).await;
    let config = pull::Config::try_from_consumer_config(info.expect("a consumer").config);
    let changed = pull::Config {
        priority_policy: PriorityPolicy::Overflow,
        priority_groups: vec!["others".to_owned()],
        ..config.expect("a pull consumer")
    };
    let stream = stack.nats.jetstream().await.get_stream(FEED.stream()).await;
    let stream = stream.expect("the stream");
    stream.update_consumer(changed).await.expect("a change");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_was_made_to_serve_groups_is_put_right_and_costs_nothing() {
    let stack = builder().without_streams().start().await;
    stack
        .create_stream_keeping(FEED, RetentionPolicy::WorkQueue)
        .await;
    publish(&stack.nats, 0..50).await;
    stack.expect_rows(FEED, 50, RECOVERY).await;
    serve_groups(&stack).await;
    publish(&stack.nats, 50..100).await;
    eventually(RECOVERY, "it serves no groups", async || {
        match policy(&stack).await? {
            PriorityPolicy::None => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    expect_exactly(&stack, 100).await;
}
