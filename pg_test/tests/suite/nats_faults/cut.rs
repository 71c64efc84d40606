//! The connection to NATS is cut at every step of the protocol: before the first byte, within a
//! greeting, an answer or a message, and between them.

use std::time::Duration;

use pg_test::wait::eventually;

use crate::fixtures::number;
use crate::nats_faults::{
    RECOVERY, behind_a_proxy, builder, expect_exactly, publish_during, rows_go_on,
};

/// Bytes from the server until the cut. The greeting has about 400, the answers until the first
/// pull some thousand, a message some hundred.
const BYTES: [u64; 16] = [
    0, 1, 100, 430, 600, 1_000, 1_700, 2_300, 3_000, 4_000, 6_001, 9_007, 20_021, 50_051, 100_103,
    200_201,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_anywhere_neither_loses_nor_doubles_a_message() {
    let (stack, proxy) = behind_a_proxy(builder()).await;
    let faults = async {
        for bytes in BYTES {
            let before = proxy.connections();
            proxy.cut_after(bytes);
            proxy.cut();
            let what = format!("the next connection is cut after {bytes} bytes");
            eventually(RECOVERY, what, async || proxy.connections() >= before + 2).await;
            rows_go_on(&stack).await;
        }
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
}

/// Each cut comes while the session after the last one reads its first messages, if it has come
/// that far.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_twice_a_second_neither_loses_nor_doubles_a_message() {
    let cuts = number("SR_CUTS", 30);
    let (stack, proxy) = behind_a_proxy(builder()).await;
    let faults = async {
        let before = proxy.connections();
        let mut pace = tokio::time::interval(Duration::from_millis(500));
        for _ in 0..cuts {
            pace.tick().await;
            proxy.cut();
        }
        let again = (proxy.connections() - before) as u64;
        assert!(again >= cuts / 3, "of {cuts} cuts {again} hit a connection");
    };
    let count = publish_during(&stack.nats, 0, faults).await;
    expect_exactly(&stack, count).await;
}
