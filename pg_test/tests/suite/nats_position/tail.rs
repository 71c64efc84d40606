//! Sequences that a pipeline passes without a message of its own are recorded too, and prove as
//! little about the stream's content.

use pg_test::messages::{Generator, Message};

use crate::fixtures::gaps;
use crate::nats_faults::{FEED, RECOVERY, builder};

fn others(count: usize) -> Vec<Message> {
    (0..count)
        .map(|_| Message::plain("netflow.others", "{}"))
        .collect()
}

fn ours(numbers: std::ops::Range<u64>) -> Vec<Message> {
    let named = |number| {
        let mut message = Generator::new(13).good(FEED, number);
        message.subject = "netflow.ours".to_owned();
        message
    };
    numbers.map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_set_back_behind_messages_for_others_is_read_again() {
    let stack = builder()
        .setting("sr_event_writer.stream_netflow", "subject=netflow.ours")
        .start()
        .await;
    stack.nats.publish_messages(ours(0..10)).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    stack.nats.stop().await;
    let earlier = stack.nats.copy_store();
    stack.nats.start().await;
    stack.nats.publish_messages(others(100)).await;
    // After a while of silence all of the stream is recorded.
    stack.expect_all_acknowledged(FEED).await;
    stack.disable().await;
    stack.nats.stop().await;
    stack.nats.put_back(&earlier);
    stack.nats.start().await;
    let new = [others(20), ours(10..20), others(100)].concat();
    stack.nats.publish_messages(new).await;
    stack.enable().await;
    stack.expect_rows(FEED, 20, RECOVERY).await;
    stack.expect_all_acknowledged(FEED).await;
    stack.expect_rows(FEED, 20, RECOVERY).await;
    assert_eq!(gaps(&stack).await, [], "gaps");
}
