//! Waiting for a sequence, moving a pipeline to another one, and restarting the workers.

mod restart;
mod seek;
mod target;
mod wait;

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually_equal, throughout};

use crate::fixtures::stream_is;

/// Netflow has no unique key, so a row that is written twice is there twice.
const FEED: Feed = Feed::Netflow;

async fn become_rows(stack: &Stack, count: i64) {
    eventually_equal(SOON, "rows", count, async || stack.rows(FEED).await).await;
}

/// Neither less nor more for a while.
async fn stay_rows(stack: &Stack, count: i64) {
    become_rows(stack, count).await;
    let what = format!("there are {count} rows");
    throughout(Duration::from_secs(2), what, async || {
        match stack.rows(FEED).await.unwrap() {
            found if found == count => Ok(()),
            found => Err(format!("{found} rows")),
        }
    })
    .await;
}

async fn pause(stack: &Stack) {
    stack
        .pg
        .execute("SELECT sr_event_writer_pause('netflow')")
        .await;
    stream_is(stack, FEED, "paused").await;
}

async fn resume(stack: &Stack) {
    stack
        .pg
        .execute("SELECT sr_event_writer_resume('netflow')")
        .await;
}

/// Pauses, seeks and resumes; what the function says.
async fn seek(stack: &Stack, arguments: &str) -> String {
    pause(stack).await;
    let sql = format!("SELECT sr_event_writer_seek('netflow', {arguments})");
    let text = stack.pg.value(&sql).await;
    resume(stack).await;
    let sql = "SELECT count(*) FROM sr_event_writer.pipeline_control
               WHERE seek_sequence IS NOT NULL OR seek_time IS NOT NULL";
    eventually_equal(SOON, "wishes", 0_i64, async || {
        stack.pg.try_value(sql).await
    })
    .await;
    text
}

async fn gaps(stack: &Stack) -> Vec<(i64, i64, String)> {
    let sql = "SELECT first_sequence, last_sequence, reason FROM sr_event_writer.stream_gap
               WHERE pipeline = 'netflow' AND stream = 'NETFLOW' ORDER BY 1";
    let rows = stack.pg.query(sql, &[]).await;
    rows.iter()
        .map(|r| (r.get(0), r.get(1), r.get(2)))
        .collect()
}

fn gap(first: i64, last: i64) -> (i64, i64, String) {
    (first, last, "seek".to_owned())
}
