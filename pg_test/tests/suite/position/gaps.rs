//! A stream that keeps only the newest message of each subject has a gap between almost all others.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn many_gaps_are_rows_of_their_own_and_one_line_in_the_log() {
    let stack = Stack::builder().disabled().start().await;
    let messages = Generator::new(18).range(Feed::Logs, 0..300);
    stack.nats.publish_messages(messages).await;
    // The first message stays, or what was removed would be from before the pipeline existed.
    let stream = Feed::Logs.stream();
    let context = stack.jetstream.jetstream().await;
    let stream = context.get_stream(&stream).await.unwrap();
    for sequence in (2..300).step_by(2) {
        stream.delete_message(sequence).await.unwrap();
    }
    stack.enable().await;
    stack.expect_rows(Feed::Logs, 151, SOON).await;
    let sql = "SELECT count(*) FROM sr_event_writer.stream_gap
        WHERE first_sequence = last_sequence AND first_sequence % 2 = 0";
    assert_eq!(stack.pg.value::<i64>(sql).await, 149);
    let log = stack.pg.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("were removed from the stream"));
    // One for each transaction, and there are few.
    assert!(lines.count() < 15, "{log}");
}
