//! The connection to NATS is cut at every step of the protocol: before anything was said, within a
//! greeting, an answer, a message, and between them.

use pg_test::wait::eventually;

use crate::nats_faults::{
    RECOVERY, behind_a_proxy, builder, expect_exactly, publish_during, rows_go_on,
};

/// Bytes from the server until the cut. The greeting has about 400, the answers until the first
/// pull some thousand, a message some hundred.
const BYTES: [u64; 22] = [
    0, 1, 100, 350, 450, 600, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000, 5_000, 6_001, 7_003,
    9_007, 12_011, 20_021, 50_051, 100_103, 200_201,
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
