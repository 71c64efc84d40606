//! Another process of the server crashes: the messages that the worker was writing are not
//! suspects.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::process::{self, Signal};
use pg_test::stack::Stack;
use pg_test::wait::{eventually, eventually_equal};

const FEED: Feed = Feed::Netflow;
/// Timeout for a crash of the whole server and its recovery, on a busy machine.
const RECOVERY: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn when_another_process_crashes_no_message_is_suspected() {
    let stack = Stack::builder().without_keys().disabled().start().await;
    // Slow enough to be hit in the middle.
    let slow = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END$$;
         CREATE TRIGGER slow BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION slow()",
        FEED.table()
    );
    stack.pg.execute(&slow).await;
    let messages = Generator::new(71).range(FEED, 0..200);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'sr_event_writer' AND wait_event = 'PgSleep'";
    eventually_equal(RECOVERY, "workers in the trigger", 1, async || {
        stack.pg.try_value::<i64>(sql).await
    })
    .await;
    let session = stack.pg.connect().await;
    let pid = session.query_one("SELECT pg_backend_pid()", &[]).await;
    process::kill(pid.expect("its pid").get(0), Signal::SIGKILL);
    eventually(RECOVERY, "all sessions are ended", async || {
        session.is_closed()
    })
    .await;
    stack.expect_rows(FEED, 200, RECOVERY).await;
    assert!(!stack.pg.log_contains("written one by one now"));
    assert_eq!(stack.dead_letters(FEED).await.expect("letters"), 0);
}
