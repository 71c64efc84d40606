//! A reload while a worker is starting is not lost.

use pg_test::process::{children, command_line};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::writer_is;

/// A process that has just been forked has the settings of the server as they were then, and takes
/// no signal yet.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_change_while_a_worker_is_being_started_take_effect() {
    let stack = Stack::start().await;
    writer_is(&stack, "running").await;
    // Sleeps between the fork and the first handler of a signal.
    stack.pg.alter_system("post_auth_delay", "5s").await;
    let old = stack.pg.worker_pid().await;
    let end = format!("SELECT pg_terminate_backend({old})");
    stack.pg.execute(&end).await;
    let postmaster = stack.pg.postmaster_pid();
    eventually(SOON, "the next worker", async || {
        let mut processes = children(postmaster).into_iter();
        processes.any(|pid| pid != old && command_line(pid).contains("sr_event_writer 0"))
    })
    .await;
    stack
        .pg
        .alter_system("sr_event_writer.enabled", "off")
        .await;
    writer_is(&stack, "disabled").await;
}
