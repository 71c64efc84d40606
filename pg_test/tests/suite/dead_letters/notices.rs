//! Dead letters published over a link that is slower than they are made.

use futures_util::StreamExt;
use pg_test::feed::Feed;
use pg_test::messages::Message;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal};

use crate::fixtures::stream_status_where;
use crate::nats_faults::behind_a_proxy;

const FEED: Feed = Feed::Logs;
/// Dead letters of 1 MB each, which fit into the default memory.
const COUNT: usize = 24;
const LARGE: usize = 1_000_000;

async fn publish(stack: &Stack, count: usize, bytes: usize) {
    let messages = (0..count).map(|_| Message::plain("logs.odd", vec![b'x'; bytes]));
    stack.nats.publish_messages(messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_that_a_slow_link_does_not_take_are_left_out() {
    let builder = Stack::builder()
        .disabled()
        .setting("sr_event_writer.streams", FEED.name())
        .setting("sr_event_writer.dead_letter_subject", "dead.letters");
    let (stack, proxy) = behind_a_proxy(builder).await;
    let client = stack.nats.client().await;
    let mut notices = client.subscribe("dead.letters.>").await.unwrap();
    client.flush().await.unwrap();
    publish(&stack, COUNT, LARGE).await;

    // All of them are in memory before the first is a letter.
    let locker = stack.pg.connect().await;
    let lock = "BEGIN; LOCK TABLE sr_event_writer.dead_letter IN EXCLUSIVE MODE";
    locker.batch_execute(lock).await.unwrap();
    stack.enable().await;
    let info = async || {
        let consumer = stack
            .nats
            .consumer(&FEED.stream(), &FEED.consumer())
            .await?;
        Ok::<_, String>(consumer.num_pending)
    };
    eventually_equal(SOON, "messages that were not fetched", 0, info).await;
    stream_status_where(&stack, FEED, "a failure", |s| !s["last_error"].is_null()).await;
    proxy.slow_to_server(200_000);
    locker.batch_execute("ROLLBACK").await.unwrap();
    eventually_equal(SOON, "dead letters", COUNT as i64, async || {
        stack.dead_letters(FEED).await
    })
    .await;

    proxy.heal();
    let mut large = 0;
    eventually(SOON, "the notice of a later letter", async || {
        // In the order of the letters; while there is no room it is left out as well.
        publish(&stack, 1, 1).await;
        while let Some(Some(notice)) = futures_util::FutureExt::now_or_never(notices.next()) {
            match notice.payload.len() {
                LARGE => large += 1,
                _ => return true,
            }
        }
        false
    })
    .await;
    assert!(
        (1..COUNT - 3).contains(&large),
        "{large} notices of {COUNT} large letters"
    );
}
