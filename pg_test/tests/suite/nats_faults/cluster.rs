//! A cluster of three NATS servers changes its leaders and loses servers while messages flow.

use std::ptr;

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::nats::{Cluster, Nats};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::nats_faults::{FEED, builder, expect_exactly, publish_during, rows_go_on};

async fn start() -> (Cluster, Stack) {
    let cluster = Cluster::start().await;
    cluster
        .create_stream(&FEED.stream(), &[&FEED.subjects()], RetentionPolicy::Limits)
        .await;
    let stack = builder().without_streams().cluster(&cluster).start().await;
    (cluster, stack)
}

/// Waits until another server than `before` leads the stream.
async fn another_leads(cluster: &Cluster, before: &Nats) {
    eventually(SOON, "another server leads the stream", async || {
        !ptr::eq(cluster.stream_leader(&FEED.stream()).await, before)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_leaders_in_a_cluster_costs_and_doubles_nothing() {
    let (cluster, stack) = start().await;
    let faults = async {
        rows_go_on(&stack).await;
        for _ in 0..2 {
            let leader = cluster.stream_leader(&FEED.stream()).await;
            cluster.step_down_stream(&FEED.stream()).await;
            another_leads(&cluster, leader).await;
            rows_go_on(&stack).await;
            cluster
                .step_down_consumer(&FEED.stream(), &FEED.consumer())
                .await;
            rows_go_on(&stack).await;
        }
    };
    let count = publish_during(&cluster, 0, faults).await;
    expect_exactly(&stack, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_leader_is_killed_goes_on_with_the_others() {
    let (cluster, stack) = start().await;
    let faults = async {
        rows_go_on(&stack).await;
        let leader = cluster.stream_leader(&FEED.stream()).await;
        leader.kill().await;
        rows_go_on(&stack).await;
        another_leads(&cluster, leader).await;
        leader.start().await;
        rows_go_on(&stack).await;
    };
    let count = publish_during(&cluster, 0, faults).await;
    expect_exactly(&stack, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_a_cluster_is_survived() {
    let (cluster, stack) = start().await;
    let faults = async {
        rows_go_on(&stack).await;
        for server in cluster.servers() {
            server.restart().await;
            rows_go_on(&stack).await;
        }
    };
    let count = publish_during(&cluster, 0, faults).await;
    expect_exactly(&stack, count).await;
}
