//! The server refuses pull requests.

use pg_test::messages::Generator;
use pg_test::wait::eventually_equal;

use crate::nats_faults::{FEED, RECOVERY, builder};

/// Larger than what is asked for at once.
const LARGE: usize = 5 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_larger_than_the_server_takes_by_now_is_read_all_the_same() {
    let stack = builder()
        .nats(|options| options.configuration = "max_payload: 8MB".to_owned())
        .disabled()
        .start()
        .await;
    stack
        .nats
        .publish_all("netflow.large", [vec![b'x'; LARGE]])
        .await;
    stack.nats.reload("max_payload: 1MB").await;
    let good = Generator::new(5).range(FEED, 0..10);
    stack.nats.publish_messages(good).await;
    stack.enable().await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    eventually_equal(RECOVERY, "dead letters", 1, async || {
        stack.dead_letters(FEED).await
    })
    .await;
    stack.expect_all_acknowledged(FEED).await;
}
