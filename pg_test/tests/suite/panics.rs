//! A panic on any thread ends the worker and never the server: PostgreSQL starts the worker again.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::{FAULTY_LIBRARY, assert_unharmed, writer_is};

const FEED: Feed = Feed::Netflow;

async fn it_recovers_from(fault: &str) {
    let (key, value) = FAULTY_LIBRARY;
    let stack = Stack::builder().setting(key, value).start().await;
    let generator = Generator::new(41);
    let messages = generator.range(FEED, 0..500);
    stack.nats.publish_messages(messages).await;
    stack.expect_rows(FEED, 500, SOON).await;
    let (server, session) = (stack.pg.postmaster_pid(), stack.pg.connect().await);

    stack.pg.alter_system("sr_event_writer.fault", fault).await;
    let ends = || stack.pg.log().matches("exited with exit code 1").count();
    eventually(
        SOON,
        "the worker ends and is started again, twice",
        async || ends() >= 2,
    )
    .await;
    let messages = generator.range(FEED, 500..1_000);
    stack.nats.publish_messages(messages).await;
    stack.pg.alter_system("sr_event_writer.fault", "none").await;

    stack.expect_rows(FEED, 1_000, SOON).await;
    writer_is(&stack, "running").await;
    assert_unharmed(&stack);
    assert_eq!(stack.pg.postmaster_pid(), server);
    let alive = session.query_one("SELECT 1", &[]).await;
    alive.expect("a session from before goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_on_the_main_thread_ends_the_worker_and_nothing_else() {
    it_recovers_from("panic_on_main_thread").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_on_another_thread_ends_the_worker_and_nothing_else() {
    it_recovers_from("panic_on_other_thread").await;
}
