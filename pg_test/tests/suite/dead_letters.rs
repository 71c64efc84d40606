//! A bad message costs only itself, and is kept complete.

mod many;
mod notices;
mod outage;
mod size;

use std::time::Duration;

use futures_util::StreamExt;
use pg_test::feed::Feed;
use pg_test::messages::{Defect, Generator, Message};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually_equal, throughout};
use serde_json::{Value, json};

async fn expect_dead_letters(stack: &Stack, feed: Feed, count: i64) {
    let what = format!("dead letters of {}", feed.name());
    eventually_equal(SOON, what, count, async || stack.dead_letters(feed).await).await;
}

/// The only dead letter, but for what differs from run to run. The payload is text here.
async fn the_dead_letter(stack: &Stack) -> Value {
    let sql = "SELECT to_jsonb(d) - '{id,received_at,published_at,payload}'::text[]
                      || jsonb_build_object('payload', convert_from(payload, 'UTF8'))
                 FROM sr_event_writer.dead_letter d";
    stack.pg.query_one(sql, &[]).await.get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_message_is_kept_whole_with_its_reason() {
    let stack = Stack::builder().disabled().start().await;
    let generator = Generator::new(10);
    stack
        .nats
        .publish_messages(generator.range(Feed::Netflow, 0..10))
        .await;
    let payload = r#"{"timestamp":1767026614,"src_port":"https"}"#;
    let message = Message::plain("netflow.odd", payload);
    let headers = [
        ("X-Origin", "collector-7"),
        ("X-Twice", "a"),
        ("X-Twice", "b"),
    ];
    let sequence = stack.nats.publish_with_headers(message, &headers).await;
    stack
        .nats
        .publish_messages(generator.range(Feed::Netflow, 10..20))
        .await;
    stack.enable().await;

    expect_dead_letters(&stack, Feed::Netflow, 1).await;
    stack.expect_rows(Feed::Netflow, 20, SOON).await;
    let letter = the_dead_letter(&stack).await;
    assert_eq!(letter["stream"], "netflow", "{letter}");
    assert_eq!(letter["subject"], "netflow.odd", "{letter}");
    assert_eq!(letter["sequence"], sequence, "{letter}");
    assert_eq!(letter["delivered"], 1, "{letter}");
    assert_eq!(letter["payload"], payload, "{letter}");
    let processor = letter["processor"].as_str().expect("a processor");
    assert!(processor.eq_ignore_ascii_case("netflow"), "{letter}");
    assert_eq!(letter["stage"], "decode", "{letter}");
    assert_eq!(letter["resolved_at"], Value::Null, "{letter}");
    assert_eq!(letter["resolution"], Value::Null, "{letter}");
    assert_eq!(
        letter["headers"]["X-Origin"],
        json!(["collector-7"]),
        "{letter}"
    );
    assert_eq!(letter["headers"]["X-Twice"], json!(["a", "b"]), "{letter}");
    let error = letter["error"].as_str().expect("a reason");
    assert!(
        error.contains("src_port"),
        "the reason names the field: {error}"
    );
    let sql = "SELECT published_at BETWEEN now() - interval '5 min' AND received_at
                      AND received_at <= now() FROM sr_event_writer.dead_letter";
    assert!(stack.pg.value::<bool>(sql).await, "{letter}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_broken_message_becomes_a_dead_letter_and_nothing_else_does() {
    let stack = Stack::builder().disabled().start().await;
    let generator = Generator::new(11);
    for feed in Feed::ALL {
        for (number, defect) in (0..).zip(Defect::ALL) {
            let messages = [
                generator.good(feed, number),
                generator.broken(feed, 1000, defect),
            ];
            stack.nats.publish_messages(messages).await;
        }
    }
    stack.enable().await;
    for feed in Feed::ALL {
        stack
            .expect_rows(feed, Defect::ALL.len() as u64, SOON)
            .await;
        expect_dead_letters(&stack, feed, Defect::ALL.len() as i64).await;
        stack.expect_all_acknowledged(feed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_hundred_rows_only_the_one_that_the_table_refuses_is_set_aside() {
    let stack = Stack::builder().disabled().start().await;
    stack
        .pg
        .execute("ALTER TABLE timeseries_metrics ADD CONSTRAINT unlucky CHECK (value <> 313)")
        .await;
    let generator = Generator::new(12);
    let sequences = stack
        .nats
        .publish_messages(generator.range(Feed::Telemetry, 0..500))
        .await;
    stack.enable().await;

    stack.expect_rows(Feed::Telemetry, 499, SOON).await;
    expect_dead_letters(&stack, Feed::Telemetry, 1).await;
    stack.expect_all_acknowledged(Feed::Telemetry).await;
    let letter = the_dead_letter(&stack).await;
    let payload = String::from_utf8(generator.good(Feed::Telemetry, 313).payload).unwrap();
    assert_eq!(letter["sequence"], sequences[313], "{letter}");
    assert_eq!(letter["payload"], payload, "{letter}");
    assert_eq!(letter["stage"], "insert", "{letter}");
    assert_eq!(letter["sqlstate"], "23514", "{letter}");
    let error = letter["error"].as_str().expect("a reason");
    assert!(
        error.contains("unlucky"),
        "the reason names the constraint: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_refused_rows_at_the_edges_and_in_the_middle_are_set_aside_alone() {
    let stack = Stack::builder().disabled().start().await;
    stack
        .pg
        .execute(
            "ALTER TABLE netflow_metrics ADD CONSTRAINT c CHECK (octets NOT IN (0, 1, 77, 299))",
        )
        .await;
    let messages = Generator::new(13).range(Feed::Netflow, 0..300);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    stack.expect_rows(Feed::Netflow, 296, SOON).await;
    expect_dead_letters(&stack, Feed::Netflow, 4).await;
    let sequences: Vec<i64> = stack
        .pg
        .value("SELECT array_agg(sequence ORDER BY sequence) FROM sr_event_writer.dead_letter")
        .await;
    assert_eq!(sequences, [1, 2, 78, 300]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_fails_for_one_row_costs_only_that_row() {
    let stack = Stack::builder().disabled().start().await;
    stack
        .pg
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
               IF NEW.id = 'ev-42' THEN
                 RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation';
               END IF;
               RETURN NEW;
             END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    stack
        .nats
        .publish_messages(Generator::new(14).range(Feed::Events, 0..200))
        .await;
    stack.enable().await;
    stack.expect_rows(Feed::Events, 199, SOON).await;
    expect_dead_letters(&stack, Feed::Events, 1).await;
    assert_eq!(the_dead_letter(&stack).await["sequence"], 43);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_written_once_even_when_postgresql_crashes_after_it() {
    let stack = Stack::start().await;
    let broken = Generator::new(15).broken(Feed::Logs, 1, Defect::Truncated);
    stack.nats.publish_messages([broken]).await;
    expect_dead_letters(&stack, Feed::Logs, 1).await;
    stack.pg.kill_all().await;
    stack.pg.start().await;
    // The message that the crash lost is read and set aside again.
    expect_dead_letters(&stack, Feed::Logs, 1).await;
    throughout(
        Duration::from_secs(1),
        "there is one dead letter",
        async || stack.dead_letters(Feed::Logs).await.unwrap() == 1,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_also_published_where_the_settings_say() {
    let stack = Stack::builder()
        .setting("sr_event_writer.dead_letter_subject", "dead.letters")
        .start()
        .await;
    let client = stack.nats.client().await;
    let mut letters = client
        .subscribe("dead.letters.>")
        .await
        .expect("a subscription");
    client
        .flush()
        .await
        .expect("the subscription is known to the server");
    let message = Message::plain("logs.odd", "not JSON");
    let sequence = stack.nats.publish_with_headers(message, &[]).await;

    let letter = tokio::time::timeout(SOON, letters.next())
        .await
        .expect("a dead letter in time")
        .expect("a dead letter");
    let header = |name: &str| letter.headers.as_ref().and_then(|all| all.get(name));
    assert_eq!(letter.subject.as_str(), "dead.letters.logs");
    assert_eq!(letter.payload.as_ref(), b"not JSON");
    assert_eq!(
        header("Sr-Event-Writer-Sequence").map(|value| value.as_str()),
        Some(sequence.to_string().as_str())
    );
    assert_eq!(
        header("Sr-Event-Writer-Subject").map(|value| value.as_str()),
        Some("logs.odd")
    );
    expect_dead_letters(&stack, Feed::Logs, 1).await;
}
