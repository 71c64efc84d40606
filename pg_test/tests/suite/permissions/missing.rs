//! Without one of the documented permissions, the status names it.

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::stack::{SOON, Stack};

use super::{INBOX, create_consumer_of_another_kind, users, with_users};
use crate::nats_faults::{FEED, RECOVERY, publish, status_says, stream_says};

/// A writer that lacks a permission from the start says so, and goes on when it has it.
async fn without(permission: &str) {
    let stack = with_users(permission).start().await;
    publish(&stack.nats, 0..10).await;
    stream_says(&stack, SOON, "degraded", &["ermissions", permission]).await;
    permit_all(&stack, 10).await;
}

/// Gives the writer all permissions: everything is read then.
async fn permit_all(stack: &Stack, count: u64) {
    status_says(stack, SOON, &["Permit the NATS user to"]).await;
    stack.nats.configure(&users("nothing"));
    stack.nats.restart().await;
    stack.expect_rows(FEED, count, RECOVERY).await;
    stream_says(stack, SOON, "running", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_find_a_stream_by_its_subject() {
    without("$JS.API.STREAM.NAMES").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_ask_for_a_stream() {
    without("$JS.API.STREAM.INFO.NETFLOW").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_ask_for_a_consumer() {
    without("$JS.API.CONSUMER.INFO.NETFLOW.db-writer-netflow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_create_a_consumer() {
    without("$JS.API.CONSUMER.CREATE.NETFLOW.db-writer-netflow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_reset_a_consumer() {
    without("$JS.API.CONSUMER.RESET.NETFLOW.db-writer-netflow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_pull_messages() {
    without("$JS.API.CONSUMER.MSG.NEXT.NETFLOW.db-writer-netflow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_subscribe_to_its_inboxes() {
    without(&format!("{INBOX}.>")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_create_a_consumer_with_a_filter() {
    let missing = "$JS.API.CONSUMER.CREATE.NETFLOW.db-writer-netflow.>";
    let stack = with_users(missing)
        .setting("sr_event_writer.stream_netflow", "subject=netflow.*.>")
        .start()
        .await;
    let named = "$JS.API.CONSUMER.CREATE.NETFLOW.db-writer-netflow.netflow.*.>";
    stream_says(&stack, SOON, "degraded", &["ermissions", named]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_delete_a_consumer_of_another_kind() {
    let stack = with_users("$JS.API.CONSUMER.DELETE.NETFLOW.db-writer-netflow");
    let stack = stack.disabled().start().await;
    create_consumer_of_another_kind(&stack).await;
    stack.enable().await;
    publish(&stack.nats, 0..10).await;
    stream_says(
        &stack,
        SOON,
        "degraded",
        &["ermissions", "$JS.API.CONSUMER.DELETE."],
    )
    .await;
    permit_all(&stack, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_ask_for_a_stored_message() {
    let stack = with_users("nothing").start().await;
    publish(&stack.nats, 0..10).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    stack
        .nats
        .configure(&users("$JS.API.STREAM.MSG.GET.NETFLOW"));
    stack.nats.restart().await;
    publish(&stack.nats, 10..20).await;
    stream_says(
        &stack,
        SOON,
        "degraded",
        &["ermissions", "$JS.API.STREAM.MSG.GET"],
    )
    .await;
    permit_all(&stack, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_acknowledge() {
    let stack = with_users("$JS.ACK.NETFLOW.db-writer-netflow.>");
    let stack = stack.without_streams().disabled().start().await;
    stack
        .create_stream_keeping(FEED, RetentionPolicy::WorkQueue)
        .await;
    stack.enable().await;
    publish(&stack.nats, 0..10).await;
    let words = ["acknowledgement", "$JS.ACK.NETFLOW.db-writer-netflow.>"];
    stream_says(&stack, SOON, "degraded", &words).await;
    stack.expect_rows(FEED, 10, RECOVERY).await;
    permit_all(&stack, 10).await;
    stack.expect_all_acknowledged(FEED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_publish_dead_letters() {
    let stack = with_users("dead.netflow").start().await;
    stack.nats.publish_all("netflow.bad", ["no JSON"]).await;
    let words = [
        "Permissions Violation for Publish to",
        "dead.netflow",
        "Permit the NATS user",
    ];
    status_says(&stack, SOON, &words).await;
    let logged = "sr_event_writer: NATS: Permissions Violation for Publish to \"dead.netflow\"";
    assert!(stack.pg.log_contains(logged));
    // The pipeline itself has what it needs.
    stream_says(&stack, SOON, "running", &[]).await;
}
