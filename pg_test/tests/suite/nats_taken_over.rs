//! Others move, replace or use the consumer, or an earlier session leaves unfinished work: no
//! message is skipped and no pipeline stops.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{RetentionPolicy, Stream};
use futures_util::StreamExt;
use pg_test::messages::Generator;
use pg_test::nats::Access;
use pg_test::stack::Stack;
use pg_test::wait::eventually;
use serde_json::{Value, json};

use crate::fixtures::gaps;
use crate::fixtures::number;
use crate::nats_faults::{
    FEED, RECOVERY, behind_a_proxy, builder, expect_exactly, publish, stream_says,
};

async fn stream(access: &Access) -> Stream {
    let stream = access.jetstream().await.get_stream(FEED.stream()).await;
    stream.expect("the stream")
}

/// Sets the consumer to a sequence, as `nats consumer reset` does.
pub async fn reset(access: &Access, sequence: u64) {
    let subject = format!("CONSUMER.RESET.{}.{}", FEED.stream(), FEED.consumer());
    let context = access.jetstream().await;
    let answer: Value = context
        .request(subject, &json!({ "seq": sequence }))
        .await
        .expect("an answer");
    assert_eq!(answer["error"], Value::Null, "{answer}");
}

/// Number of messages that the consumer has sent.
async fn delivered(stack: &Stack) -> Result<u64, String> {
    let info = stack
        .nats
        .consumer(&FEED.stream(), &FEED.consumer())
        .await?;
    Ok(info.delivered.stream_sequence)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_session_left_behind_holds_up_no_later_one() {
    let before = number("SR_STANDSTILL_BEFORE", 8_000);
    let waiting = number("SR_STANDSTILL_WAITING", 6_000);
    let (stack, proxy) = behind_a_proxy(builder()).await;
    publish(&stack.nats, 0..before).await;
    stack.expect_rows(FEED, before, RECOVERY * 4).await;

    let lock = stack.pg.connect().await;
    let sql = format!(
        "BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
        FEED.table()
    );
    lock.batch_execute(&sql).await.expect("a lock");
    publish(&stack.nats, before..before + waiting).await;
    eventually(RECOVERY, "a batch waits for the table", async || {
        delivered(&stack).await.is_ok_and(|n| n > before)
    })
    .await;
    let connections = proxy.connections();
    proxy.cut();
    eventually(RECOVERY, "it connects again", async || {
        proxy.connections() > connections
    })
    .await;
    let name = FEED.consumer();
    eventually(RECOVERY, "messages are sent again", async || {
        let info = stack.nats.consumer(&FEED.stream(), &name).await?;
        let sent = info.delivered;
        // Each session counts from 1.
        match sent.consumer_sequence < sent.stream_sequence && sent.stream_sequence > before {
            true => Ok(()),
            false => Err(format!("{sent:?}")),
        }
    })
    .await;
    lock.batch_execute("COMMIT").await.expect("the end of it");

    let total = before + waiting;
    stack.expect_rows(FEED, total, RECOVERY).await;
    expect_exactly(&stack, total).await;
    publish(&stack.nats, total..total + waiting).await;
    expect_exactly(&stack, total + waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_somebody_sets_forward_passes_over_nothing() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    reset(&stack.nats, 21).await;
    publish(&stack.nats, 10..40).await;
    expect_exactly(&stack, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_consumer_that_somebody_sets_forward_passes_over_nothing() {
    let subjects = "subject=netflow.a,netflow.b";
    let stack = builder()
        .setting("sr_event_writer.stream_netflow", subjects)
        .start()
        .await;
    let message = |number: u64| {
        let mut message = Generator::new(11).good(FEED, number);
        message.subject = "netflow.a".to_owned();
        message
    };
    stack.nats.publish_messages((0..10).map(message)).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    reset(&stack.nats, 21).await;
    stack.nats.publish_messages((10..40).map(message)).await;
    expect_exactly(&stack, 40).await;
}

/// A message that was passed over in a quiet stream is read although none comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_somebody_sets_behind_the_end_of_a_quiet_stream_passes_over_nothing() {
    let (stack, proxy) = behind_a_proxy(builder()).await;
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    proxy.swallow("$JS.API.CONSUMER.MSG.NEXT");
    reset(&stack.nats, 16).await;
    publish(&stack.nats, 10..15).await;
    proxy.heal();
    expect_exactly(&stack, 15).await;
}

/// As after a failover without fencing, or in a copy of the cluster that kept the consumer's name.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_clusters_with_one_consumer_each_has_every_message() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;
    let (copy, ()) = stack.pg.copy_data_mid_flight(async || ()).await;
    publish(&stack.nats, 100..150).await;
    stack.expect_rows(FEED, 150, RECOVERY).await;
    copy.start().await;
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    for start in (150..450).step_by(10) {
        pace.tick().await;
        publish(&stack.nats, start..start + 10).await;
    }
    let rows = format!(
        "SELECT count(DISTINCT {}), count(*) FROM {}",
        FEED.marker_column(),
        FEED.table()
    );
    for pg in [&copy, &stack.pg] {
        eventually(RECOVERY * 2, "every message is a row, once", async || {
            let found = pg.try_query(&rows, &[]).await.map_err(|e| e.to_string())?;
            let found: (i64, i64) = (found[0].get(0), found[0].get(1));
            if found == (450, 450) {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        })
        .await;
    }
    assert!(
        copy.log_contains("another writer") || stack.pg.log_contains("another writer"),
        "one of them names the other"
    );
    copy.kill_all().await;
    assert_eq!(gaps(&stack).await, [], "gaps");
}

/// The consumer of an earlier version, or one made by hand, with messages in flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_waits_for_acknowledgements_is_created_again_and_costs_nothing() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;
    for policy in [AckPolicy::All, AckPolicy::Explicit] {
        stack.disable().await;
        let before = stack.nats.stream_state(&FEED.stream()).await.last_sequence;
        let stream = stream(&stack.nats).await;
        let deleted = stream.delete_consumer(&FEED.consumer()).await;
        deleted.expect("a deletion");
        let consumer = stream
            .create_consumer(pull::Config {
                durable_name: Some(FEED.consumer()),
                ack_policy: policy,
                deliver_policy: DeliverPolicy::All,
                ..pull::Config::default()
            })
            .await
            .expect("a consumer");
        publish(&stack.nats, before..before + 100).await;
        let on_their_way = consumer.fetch().max_messages(150).messages().await;
        let on_their_way = on_their_way.expect("messages").count().await;
        assert_eq!(on_their_way, 150);
        stack.enable().await;
        expect_exactly(&stack, before + 100).await;
        let info = stack.nats.consumer(&FEED.stream(), &FEED.consumer()).await;
        assert_eq!(info.unwrap().config.ack_policy, AckPolicy::None);
    }
}

async fn keep(access: &Access, retention: RetentionPolicy) {
    let context = access.jetstream().await;
    let mut config = stream(access).await.cached_info().config.clone();
    config.retention = retention;
    context.update_stream(&config).await.expect("a change");
}

/// Without acknowledgements an interest stream would drop what was sent and not written.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_begins_to_drop_what_is_read_is_not_read_until_somebody_decides() {
    let stack = builder().start().await;
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    keep(&stack.nats, RetentionPolicy::Interest).await;
    let words = ["takes no acknowledgements", "retention"];
    stream_says(&stack, RECOVERY, "degraded", &words).await;
    publish(&stack.nats, 10..20).await;
    keep(&stack.nats, RetentionPolicy::Limits).await;
    expect_exactly(&stack, 20).await;
    stream_says(&stack, RECOVERY, "running", &[]).await;
}
