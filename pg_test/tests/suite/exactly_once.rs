//! Whatever is killed or restarted, each message becomes exactly one row.

use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::feed::Feed;
use pg_test::messages::{Defect, Generator, Message};
use pg_test::postgres::Stop;
use pg_test::stack::Stack;
use pg_test::wait::{eventually, eventually_equal};

use crate::fixtures::number;

/// Timeout for everything that is pending after the last fault.
const REST: Duration = Duration::from_secs(120);

#[derive(Clone, Copy)]
enum Fault {
    KillWorker,
    RestartPostgres,
    KillPostgres,
    RestartNats,
    KillNats,
}

impl Fault {
    async fn inflict(self, stack: &Stack) {
        match self {
            Self::KillWorker => stack.pg.kill_worker().await,
            Self::RestartPostgres => stack.pg.restart().await,
            Self::KillPostgres => {
                stack.pg.kill_all().await;
                stack.pg.start().await;
            }
            Self::RestartNats => stack.nats.restart().await,
            Self::KillNats => {
                stack.nats.kill().await;
                stack.nats.start().await;
            }
        }
    }
}

/// Publishes, and meanwhile inflicts the fault, as soon as the first of these rows are there.
async fn publish_during(
    fault: Fault,
    stack: &Stack,
    feed: Feed,
    messages: impl IntoIterator<Item = Message>,
) {
    let known = rows(stack, feed).await;
    let disturb = async {
        eventually(REST, "rows appear before the fault", async || {
            match stack.rows(feed).await {
                Ok(rows) if rows > known => Ok(()),
                Ok(rows) => Err(format!("{rows} rows")),
                Err(failure) => Err(failure.to_string()),
            }
        })
        .await;
        fault.inflict(stack).await;
    };
    tokio::join!(stack.nats.publish_until_stored(messages), disturb);
}

async fn rows(stack: &Stack, feed: Feed) -> i64 {
    eventually(REST, "PostgreSQL answers", async || stack.rows(feed).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_thousand_messages_none_is_lost_or_doubled_by_kills_and_restarts() {
    let faults = [
        Fault::KillWorker,
        Fault::KillWorker,
        Fault::RestartPostgres,
        Fault::KillWorker,
        Fault::RestartNats,
    ];
    let total = number("SR_MESSAGES", 200_000);
    let part = total / faults.len() as u64;
    let generator = Generator::new(4);
    let stack = Stack::builder().without_keys().start().await;
    for (fault, start) in faults.into_iter().zip((0..total).step_by(part as usize)) {
        let messages = generator.range(Feed::Telemetry, start..start + part);
        publish_during(fault, &stack, Feed::Telemetry, messages).await;
    }
    stack
        .expect_rows(Feed::Telemetry, part * faults.len() as u64, REST)
        .await;
    stack.expect_all_acknowledged(Feed::Telemetry).await;
    assert_eq!(stack.dead_letters(Feed::Telemetry).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_seven_streams_arrive_exactly_once_with_their_dead_letters() {
    let good = 1_500;
    let generator = Generator::new(5);
    let stack = Stack::builder().without_keys().start().await;
    let faults = [Fault::KillNats, Fault::KillWorker, Fault::KillPostgres]
        .into_iter()
        .cycle();
    for (feed, fault) in Feed::ALL.into_iter().zip(faults) {
        let broken = Defect::ALL.map(|defect| generator.broken(feed, good + defect as u64, defect));
        let messages = generator.range(feed, 0..good).chain(broken);
        publish_during(fault, &stack, feed, messages).await;
    }
    for feed in Feed::ALL {
        stack.expect_rows(feed, good, REST).await;
        let what = format!("dead letters of {}", feed.name());
        let broken = Defect::ALL.len() as i64;
        eventually_equal(REST, what, broken, async || stack.dead_letters(feed).await).await;
        stack.expect_all_acknowledged(feed).await;
    }
    let sql = "SELECT count(DISTINCT (stream, sequence)) FROM sr_event_writer.dead_letter";
    let different: i64 = stack.pg.value(sql).await;
    assert_eq!(
        different,
        7 * Defect::ALL.len() as i64,
        "a dead letter for each broken message"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_commit_and_acknowledgement_doubles_nothing() {
    let generator = Generator::new(6);
    let builder = Stack::builder().without_keys().without_streams();
    let stack = builder.start().await;
    // A stream that keeps everything takes no acknowledgements.
    stack
        .create_stream_keeping(Feed::Netflow, RetentionPolicy::WorkQueue)
        .await;
    let mut sent = 0;
    // No table has a unique key: nothing but the recorded position can tell a redelivery.
    for _ in 0..5 {
        let messages = generator.range(Feed::Netflow, sent..sent + 500);
        stack.nats.publish_messages(messages).await;
        sent += 500;
        eventually(REST, "all rows are there", async || {
            match stack.rows(Feed::Netflow).await {
                Ok(rows) if rows >= sent as i64 => Ok(()),
                Ok(rows) => Err(format!("{rows} rows")),
                Err(failure) => Err(failure.to_string()),
            }
        })
        .await;
        stack.pg.stop(Stop::Immediate).await;
        stack.pg.start().await;
    }
    stack.expect_rows(Feed::Netflow, sent, REST).await;
    stack.expect_all_acknowledged(Feed::Netflow).await;
    stack.expect_rows(Feed::Netflow, sent, REST).await;
}
