//! The server sends a message that the writer never receives.

use std::time::{Duration, Instant};

use pg_test::wait::eventually;

use crate::nats_faults::{FEED, RECOVERY, behind_a_proxy, builder, expect_exactly, publish};

/// The server sends a message again after a minute (`ack_wait`) at the earliest.
const BEFORE_REDELIVERY: Duration = Duration::from_secs(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_is_read_again_long_before_the_server_would_send_it_again() {
    let (stack, proxy) = behind_a_proxy(builder()).await;
    publish(&stack.nats, 0..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;

    proxy.drop_frames(3);
    publish(&stack.nats, 100..200).await;
    stack.expect_rows(FEED, 200, BEFORE_REDELIVERY).await;
    assert_eq!(proxy.lost(), 3, "messages that were lost on their way");
    expect_exactly(&stack, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_that_no_other_follows_is_read_again_too() {
    let (stack, proxy) = behind_a_proxy(builder()).await;
    publish(&stack.nats, 0..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;

    proxy.drop_frames(2);
    publish(&stack.nats, 100..102).await;
    let lost = Instant::now();
    eventually(RECOVERY, "both are lost", async || proxy.lost() == 2).await;
    stack.expect_rows(FEED, 102, BEFORE_REDELIVERY).await;
    assert!(lost.elapsed() < BEFORE_REDELIVERY);
    expect_exactly(&stack, 102).await;
}
