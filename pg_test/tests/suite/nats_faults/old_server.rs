//! A server that is too old to set a consumer to the database's position.

use std::time::Duration;

use pg_test::nats::old_program;
use pg_test::wait::throughout;

use crate::nats_faults::{RECOVERY, builder, expect_exactly, publish, stream_says};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_named_until_a_newer_one_has_taken_its_place() {
    let Some(program) = old_program() else {
        println!("passed over: outside the testbed there is no old nats-server");
        return;
    };
    let stack = builder()
        .nats(|options| options.program = program)
        .start()
        .await;
    publish(&stack.nats, 0..200).await;
    let words = [
        "is version 2.1",
        "sr_event_writer needs nats-server 2.14 or newer",
    ];
    stream_says(&stack, RECOVERY, "degraded", &words).await;
    let said = || stack.pg.log().matches("needs nats-server").count();
    throughout(
        Duration::from_secs(5),
        "it is said once",
        async || match said() {
            0 | 1 => Ok(()),
            times => Err(format!("{times} times")),
        },
    )
    .await;
    assert_eq!(said(), 1, "it is said in the log");

    stack.nats.stop().await;
    stack.nats.upgrade();
    stack.nats.start().await;
    publish(&stack.nats, 200..250).await;
    expect_exactly(&stack, 250).await;
}
