//! While a database is being restored nothing is written, and no row gets beside the chunks.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};

use crate::fixtures::{expect_exactly_once, writer_is};

const GENERATOR_SEED: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn while_timescaledb_restores_nothing_is_written_and_nothing_is_lost() {
    let stack = Stack::start().await;
    let generator = Generator::new(GENERATOR_SEED);
    let publish = async |numbers: std::ops::Range<u64>| {
        let messages = generator.range(Feed::Logs, numbers);
        stack.nats.publish_messages(messages).await;
    };
    publish(0..100).await;
    stack.expect_rows(Feed::Logs, 100, SOON).await;

    stack.pg.execute("SELECT timescaledb_pre_restore()").await;
    writer_is(&stack, "paused").await;
    publish(100..200).await;
    // A worker that begins now has the setting from its first moment.
    stack.pg.restart().await;
    writer_is(&stack, "paused").await;
    let session = stack.pg.connect().await;
    let beside = session
        .query_one("SELECT count(*) FROM ONLY logs", &[])
        .await
        .unwrap();
    assert_eq!(beside.get::<_, i64>(0), 0, "rows beside the chunks");

    stack.pg.execute("SELECT timescaledb_post_restore()").await;
    expect_exactly_once(&stack, &[Feed::Logs], 200).await;
    publish(200..300).await;
    stack.expect_rows(Feed::Logs, 300, SOON).await;
    let session = stack.pg.connect().await;
    session
        .batch_execute("SET timescaledb.restoring = on")
        .await
        .unwrap();
    let beside = session
        .query_one("SELECT count(*) FROM ONLY logs", &[])
        .await
        .unwrap();
    assert_eq!(beside.get::<_, i64>(0), 0, "rows beside the chunks");
}
