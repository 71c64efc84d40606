//! The headers of a stored message begin with a status line, like the server's own messages.

use std::time::Duration;

use pg_test::messages::Generator;
use pg_test::nats::RawPublisher;
use pg_test::stack::Stack;
use pg_test::wait::eventually_equal;

use crate::nats_faults::{FEED, RECOVERY, builder};

/// Up to a CR the server takes it away.
const STATUS: [&str; 5] = [
    "NATS/1.0 503\n\n",
    "NATS/1.0 100\nA: b\n\n",
    "NATS/1.0 404\n\n",
    "NATS/1.0 408 Request Timeout\n\n",
    "NATS/1.0 409 Consumer Deleted\n\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_status_in_its_headers_is_set_aside_and_does_not_stop_its_pipeline() {
    let stack = builder().start().await;
    let generator = Generator::new(11);
    let good = |numbers| stack.nats.publish_messages(generator.range(FEED, numbers));
    good(0..10).await;
    let mut publisher = RawPublisher::connect(stack.nats.port()).await;
    for header in STATUS {
        let header = header.as_bytes();
        publisher
            .publish_with_headers(b"netflow.odd", header, b"{}")
            .await;
    }
    publisher.flush().await;
    good(10..20).await;

    stack.expect_rows(FEED, 20, RECOVERY).await;
    assert_eq!(letters(&stack).await, STATUS.map(str::to_owned));
    let sql = "SELECT count(*) FROM sr_event_writer.dead_letter WHERE stage = 'decode'
                  AND error LIKE 'headers: a status line (%' AND headers IS NULL
                  AND subject = 'netflow.odd' AND payload = '{}'";
    let kept: i64 = stack.pg.value(sql).await;
    assert_eq!(kept, 5, "complete dead letters");
    // Nothing of it comes again.
    let what = "nothing is left to acknowledge";
    eventually_equal(Duration::from_secs(30), what, 0, async || {
        let info = stack.nats.consumer("NETFLOW", &FEED.consumer()).await?;
        Ok::<_, String>(info.num_ack_pending)
    })
    .await;
}

/// Raw headers of the dead letters, in the order of the stream.
async fn letters(stack: &Stack) -> Vec<String> {
    let sql = "SELECT convert_from(raw_headers, 'UTF8') FROM sr_event_writer.dead_letter
               ORDER BY sequence";
    let rows = stack.pg.query(sql, &[]).await;
    rows.iter().map(|row| row.get(0)).collect()
}
