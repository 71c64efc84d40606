//! COPY also sorts the rows for the table's indexes and, where TimescaleDB supports it, writes to
//! the columnstore.

use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use pg_test::stack::{SOON, Stack};

const MESSAGES: u64 = 1_000;

/// All messages, written as backlog.
async fn written(stack: &Stack) {
    let messages = Generator::new(33).range(Feed::Telemetry, 0..MESSAGES);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    stack.expect_rows(Feed::Telemetry, MESSAGES, SOON).await;
}

/// Returns how often consecutive rows of the table are not in the order of `column`.
async fn descents(stack: &Stack, column: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM (
            SELECT {column} AS this, lag({column}) OVER (ORDER BY ctid) AS before
            FROM timeseries_metrics) rows
        WHERE this < before"
    );
    stack.pg.value(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_lie_in_the_order_of_the_index_that_does_not_begin_with_the_time() {
    let stack = Stack::builder().disabled().plain_tables().start().await;
    written(&stack).await;
    // One for each transaction but the first; in order of arrival it would be about every second
    // row.
    let by_device = descents(&stack, "device_id COLLATE \"C\"").await;
    assert!(by_device < 20, "{by_device} of {MESSAGES} rows");
    assert!(descents(&stack, "\"timestamp\"").await > 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_of_many_rows_is_copied_and_one_of_few_is_inserted() {
    let stack = Stack::builder().plain_tables().start().await;
    let generator = Generator::new(33);
    let array = |numbers: std::ops::Range<u64>| {
        let messages: Vec<_> = generator.range(Feed::Telemetry, numbers).collect();
        let objects = messages.iter().map(|message| message.payload.as_slice());
        let objects = objects.collect::<Vec<_>>().join(&b","[..]);
        Message::plain(&messages[0].subject, [b"[", &objects[..], b"]"].concat())
    };
    // Also the first batch, before which nothing is known about the table.
    stack.nats.publish_messages([array(0..30)]).await;
    stack.expect_rows(Feed::Telemetry, 30, SOON).await;
    let by_device = descents(&stack, "device_id COLLATE \"C\"").await;
    assert!(by_device > 5, "{by_device} of 30 rows");
    stack.pg.execute("TRUNCATE timeseries_metrics").await;
    stack.nats.publish_messages([array(30..1_030)]).await;
    stack.expect_rows(Feed::Telemetry, MESSAGES, SOON).await;
    let by_device = descents(&stack, "device_id COLLATE \"C\"").await;
    assert!(by_device < 20, "{by_device} of {MESSAGES} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_such_an_index_rows_lie_in_order_of_arrival() {
    let stack = Stack::builder().disabled().plain_tables().start().await;
    let index = "timeseries_metrics_device_id_timestamp_idx";
    stack.pg.execute(&format!("DROP INDEX {index}")).await;
    written(&stack).await;
    assert_eq!(descents(&stack, "\"timestamp\"").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_columnstore_cannot_be_written_it_is_said_and_rows_are_written_all_the_same() {
    let builder = Stack::builder().disabled();
    let builder = builder.setting("sr_event_writer.stream_telemetry", "columnstore=direct");
    let stack = builder.start().await;
    written(&stack).await;
    let said = "stream telemetry: columnstore=direct has no effect on public.timeseries_metrics: ";
    assert!(stack.pg.log_contains(said), "{}", stack.pg.log());
}

/// Returns the number of transactions that write the messages with these numbers as a backlog.
async fn transactions(stack: &Stack, numbers: std::ops::Range<u64>) -> u64 {
    let batches = async || {
        let status = stack.stream_status(Feed::Telemetry).await;
        let status = status.expect("a status");
        status["batches_total"].as_u64().expect("a number")
    };
    stack.disable().await;
    let before = batches().await;
    let total = numbers.end;
    let messages = Generator::new(35).range(Feed::Telemetry, numbers);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    stack.expect_rows(Feed::Telemetry, total, SOON).await;
    batches().await - before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_written_in_large_transactions() {
    const BACKLOG: u64 = 20_000;
    const ROUNDS: u64 = 3;
    let stack = Stack::start().await;
    let mut seen = Vec::new();
    // On a busy machine the thread that reads may be slower than the one that writes.
    for round in 0..ROUNDS {
        let numbers = round * BACKLOG..(round + 1) * BACKLOG;
        let count = transactions(&stack, numbers).await;
        // `batch_size` alone would make 200.
        if count <= BACKLOG / 200 {
            return;
        }
        seen.push(count);
    }
    panic!("{seen:?} transactions for {BACKLOG} messages each");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_the_same_whatever_encoding_the_database_sets_for_its_clients() {
    let stack = Stack::builder()
        .plain_tables()
        .disabled()
        .setting("client_encoding", "LATIN1")
        .start()
        .await;
    let messages = Generator::new(34).range(Feed::Telemetry, 0..MESSAGES);
    let messages = messages.map(|message| {
        let text = String::from_utf8(message.payload).expect("JSON");
        let payload = text.replace("\"bytes\"", "\"Größe\"").into_bytes();
        Message { payload, ..message }
    });
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    stack.expect_rows(Feed::Telemetry, MESSAGES, SOON).await;
    let sql = "SELECT count(*) FROM timeseries_metrics WHERE unit = 'Größe'";
    assert_eq!(stack.pg.value::<i64>(sql).await, MESSAGES as i64);
}
