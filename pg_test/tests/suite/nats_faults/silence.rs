//! Connections that seem healthy and deliver nothing. The writer notices within a minute, reports
//! it, and recovers by itself.

use std::time::Duration;

use pg_test::proxy::Proxy;
use pg_test::stack::Stack;
use pg_test::wait::throughout;

use crate::fixtures::assert_unharmed;
use crate::nats_faults::{
    FEED, behind_a_proxy, builder, expect_exactly, publish_during, rows_go_on, stream_says,
};

const NOTICED_WITHIN: Duration = Duration::from_secs(60);
/// Long enough for several tries that are in vain.
const STILL: Duration = Duration::from_secs(12);

/// Lets messages flow while `fault` lasts until it is noticed. What the status said then.
async fn is_noticed_and_mended(fault: impl FnOnce(&Proxy), says: &[&str]) -> (Stack, Proxy) {
    let (stack, proxy) = behind_a_proxy(builder()).await;
    let faults = async {
        rows_go_on(&stack).await;
        fault(&proxy);
        stream_says(&stack, NOTICED_WITHIN, "degraded", says).await;
        throughout(
            STILL,
            "the pipeline does not claim to be well",
            async || {
                let status = stack.stream_status(FEED).await;
                let status = status.map_err(|failure| failure.to_string())?;
                match status["state"] == "running" {
                    true => Err(status.to_string()),
                    false => Ok(()),
                }
            },
        )
        .await;
        proxy.heal();
        rows_go_on(&stack).await;
        stream_says(&stack, NOTICED_WITHIN, "running", &[]).await;
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
    assert_unharmed(&stack);
    (stack, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_brings_nothing_any_more_is_noticed() {
    is_noticed_and_mended(Proxy::blackhole, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_messages_that_get_lost_are_noticed() {
    let pulls = |proxy: &Proxy| proxy.swallow("$JS.API.CONSUMER.MSG.NEXT");
    let (_stack, proxy) = is_noticed_and_mended(pulls, &["heartbeat"]).await;
    assert!(proxy.lost() > 0, "a request was lost");
    assert_eq!(proxy.connections(), 1, "the connection itself is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_all_get_lost_are_noticed() {
    let messages = |proxy: &Proxy| proxy.drop_frames(usize::MAX);
    let (_stack, proxy) = is_noticed_and_mended(messages, &["lost"]).await;
    assert_eq!(proxy.connections(), 1, "the connection itself is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_jetstream_that_do_not_come_are_waited_for() {
    let (stack, proxy) = behind_a_proxy(builder()).await;
    let faults = async {
        rows_go_on(&stack).await;
        proxy.swallow("$JS.API.CONSUMER.RESET");
        proxy.cut();
        stream_says(&stack, NOTICED_WITHIN, "degraded", &["timed out"]).await;
        proxy.heal();
        rows_go_on(&stack).await;
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
}
