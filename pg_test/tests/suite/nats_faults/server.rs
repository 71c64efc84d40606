//! The NATS server goes into maintenance, revokes permissions, and loses the stream.

use std::time::Duration;

use pg_test::nats::{Cluster, Nats};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use async_nats::jetstream::stream::RetentionPolicy;

use crate::fixtures::{TESTS_USER, tests_login};
use crate::nats_faults::{
    FEED, RECOVERY, builder, expect_exactly, publish, publish_during, rows_go_on, status_says,
    stream_says,
};

/// Clients are sent away one a second after the grace period.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
const MAINTENANCE: &str = "lame_duck_grace_period: 5s\nlame_duck_duration: 30s";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_in_lame_duck_mode_is_waited_for() {
    let stack = builder()
        .nats(|options| options.configuration = MAINTENANCE.to_owned())
        .start()
        .await;
    let faults = async {
        rows_go_on(&stack).await;
        stack.nats.lame_duck();
        status_says(&stack, SOON, &["lame duck"]).await;
        stack.nats.ended(ENDS_WITHIN).await;
        status_says(&stack, SOON, &["disconnected"]).await;
        stack.nats.start().await;
        rows_go_on(&stack).await;
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
}

/// The server of a cluster that the writer is connected to.
async fn connected_to<'a>(stack: &Stack, cluster: &'a Cluster) -> &'a Nats {
    eventually(RECOVERY, "the status names the server", async || {
        let status = stack
            .status()
            .await
            .map_err(|failure| failure.to_string())?;
        let text = status["nats"].to_string();
        let servers = cluster.servers().iter();
        let mut named = servers.filter(|server| text.contains(&server.port().to_string()));
        named.next().ok_or(text)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_leaves_a_server_in_lame_duck_mode_for_another_of_the_cluster() {
    let cluster = Cluster::start().await;
    cluster
        .create_stream(&FEED.stream(), &[&FEED.subjects()], RetentionPolicy::Limits)
        .await;
    let stack = builder().without_streams().cluster(&cluster).start().await;
    let faults = async {
        rows_go_on(&stack).await;
        let server = connected_to(&stack, &cluster).await;
        server.lame_duck();
        server.ended(ENDS_WITHIN).await;
        rows_go_on(&stack).await;
        let now = connected_to(&stack, &cluster).await;
        assert_ne!(now.port(), server.port(), "another server");
        server.start().await;
        rows_go_on(&stack).await;
    };
    let count = publish_during(&cluster, 0, faults).await;
    expect_exactly(&stack, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_deleted_while_messages_flow_is_named_and_its_successor_is_read() {
    let stack = builder()
        .setting("sr_event_writer.stream_netflow", "nats_stream=NETFLOW")
        .start()
        .await;
    publish(&stack.nats, 0..500).await;
    stack.expect_rows(FEED, 500, RECOVERY).await;
    stack.nats.delete_stream(&FEED.stream()).await;
    let faults = async {
        stream_says(&stack, SOON, "degraded", &["NETFLOW", "does not exist"]).await;
        stack.create_stream(FEED).await;
        rows_go_on(&stack).await;
        stream_says(&stack, SOON, "running", &[]).await;
    };
    let count = publish_during(&stack.nats, 500, faults).await;
    expect_exactly(&stack, count).await;
}

/// The writer is whoever comes without a name, and may publish anything but `denied`.
fn users(denied: &str) -> String {
    format!(
        "authorization {{ users: [
            {TESTS_USER}
            {{ user: writer, password: writer, permissions: {{ publish: {{ deny: [{denied:?}] }} }} }}
        ] }}
        no_auth_user: writer"
    )
}

async fn start_with_users() -> Stack {
    builder()
        .nats(|options| {
            options.configuration = users("nothing");
            options.connect = tests_login();
        })
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_read_through_its_own_api() {
    let stack = builder()
        .setting("sr_event_writer.nats_domain", "elsewhere")
        .nats(|options| options.domain = Some("hub"))
        .start()
        .await;
    publish(&stack.nats, 0..100).await;
    stream_says(&stack, RECOVERY, "degraded", &["domain"]).await;
    stack
        .pg
        .alter_system("sr_event_writer.nats_domain", "hub")
        .await;
    expect_exactly(&stack, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_may_not_use_jetstream_says_so_and_goes_on_when_it_may() {
    let stack = start_with_users().await;
    let faults = async {
        rows_go_on(&stack).await;
        stack.nats.reload(&users("$JS.API.>")).await;
        let within = Duration::from_secs(90);
        stream_says(&stack, within, "degraded", &["ermissions", "$JS.API"]).await;
        stack.nats.reload(&users("nothing")).await;
        rows_go_on(&stack).await;
        stream_says(&stack, SOON, "running", &[]).await;
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_may_not_acknowledge_writes_everything_once() {
    let stack = start_with_users().await;
    stack.nats.delete_stream(&FEED.stream()).await;
    stack
        .create_stream_keeping(FEED, RetentionPolicy::WorkQueue)
        .await;
    publish(&stack.nats, 0..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;
    stack.expect_all_acknowledged(FEED).await;

    stack.nats.reload(&users("$JS.ACK.>")).await;
    publish(&stack.nats, 100..600).await;
    stack.expect_rows(FEED, 600, RECOVERY).await;
    status_says(&stack, SOON, &["ermissions", "$JS.ACK"]).await;
    let consumer = stack.nats.consumer(&FEED.stream(), &FEED.consumer()).await;
    assert!(consumer.expect("the consumer").num_ack_pending > 0);
    stack.pg.kill_worker().await;
    publish(&stack.nats, 600..700).await;
    stack.expect_rows(FEED, 700, RECOVERY).await;

    stack.nats.reload(&users("nothing")).await;
    publish(&stack.nats, 700..800).await;
    stack.expect_rows(FEED, 800, RECOVERY).await;
    // Messages whose acknowledgement was lost are redelivered after a minute, and acknowledged
    // again.
    eventually(RECOVERY, "all is acknowledged", async || {
        let consumer = stack
            .nats
            .consumer(&FEED.stream(), &FEED.consumer())
            .await?;
        match consumer.num_ack_pending {
            0 => Ok(()),
            left => Err(format!("{left} are not acknowledged")),
        }
    })
    .await;
    expect_exactly(&stack, 800).await;
}
