//! The disk of the WAL is full: PostgreSQL itself shuts down, with all its sessions.

use pg_test::feed::Feed;
use pg_test::postgres::SmallDisk;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use crate::fixtures::{expect_exactly_once, rows_are_added, under_load};

const FEEDS: [Feed; 2] = [Feed::Netflow, Feed::Logs];

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_log_takes_the_server_down_and_no_message_with_it() {
    let Some(disk) = SmallDisk::mount(160) else {
        return;
    };
    let stack = Stack::builder()
        .without_keys()
        .setting("max_wal_size", "64MB")
        .setting("min_wal_size", "32MB")
        .start()
        .await;
    stack.pg.stop(pg_test::postgres::Stop::Fast).await;
    disk.take_log_of(&stack.pg);
    stack.pg.start().await;
    let fault = async {
        rows_are_added(&stack, Feed::Logs, SOON).await;
        disk.fill();
        let full = "No space left on device";
        eventually(SOON, "PostgreSQL gives up", async || {
            // Only a new part of the log takes new space.
            let _ = stack.pg.try_execute("SELECT pg_switch_wal()").await;
            stack
                .pg
                .log()
                .lines()
                .any(|line| line.contains("PANIC") && line.contains(full))
        })
        .await;
        disk.free();
        eventually(SOON, "PostgreSQL is back", async || {
            if !stack.pg.is_running() {
                return stack.pg.try_start().await;
            }
            stack
                .rows(Feed::Logs)
                .await
                .map(drop)
                .map_err(|e| e.to_string())
        })
        .await;
        rows_are_added(&stack, Feed::Logs, SOON).await;
    };
    let (count, ()) = under_load(&stack, &FEEDS, 0, fault).await;
    expect_exactly_once(&stack, &FEEDS, count).await;
}
