//! Waiting for a sequence, moving a pipeline to another one, and restarting the workers.

use std::time::{Duration, Instant};

use pg_test::feed::Feed;
use pg_test::messages::Message;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal, throughout};

use crate::fixtures::{lock_behind_a_trigger, publish, stream_is, writer_is};

/// Netflow has no unique key, so a row that is written twice is there twice.
const FEED: Feed = Feed::Netflow;

/// So long that two points in time are told apart.
const MOMENT: Duration = Duration::from_millis(50);

async fn rows(stack: &Stack) -> i64 {
    stack.rows(FEED).await.unwrap()
}

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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_sequence_sees_its_row() {
    let stack = Stack::start().await;
    writer_is(&stack, "running").await;
    for number in 0..20 {
        let sequence = publish(&stack, FEED, number..number + 1).await[0];
        // Begun before the commit, so a snapshot of its own would not do.
        let sql = format!("SELECT sr_event_writer_wait('netflow', {sequence})");
        assert!(stack.pg.value::<bool>(&sql).await);
        assert_eq!(rows(&stack).await, number as i64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_works_while_messages_flow_and_in_any_kind_of_transaction() {
    let stack = Stack::start().await;
    writer_is(&stack, "running").await;
    let flow = publish(&stack, FEED, 0..20_000);
    let wait = async {
        let client = stack.pg.connect().await;
        for begin in ["BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ"] {
            client.batch_execute(begin).await.unwrap();
            client.batch_execute("SELECT 1").await.unwrap();
            let sql = "SELECT sr_event_writer_wait('netflow', 20000, '60 s')";
            assert!(client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
            client.batch_execute("COMMIT").await.unwrap();
            assert_eq!(rows(&stack).await, 20_000);
        }
    };
    tokio::join!(flow, wait);
    // The record says it too, when no worker has shown anything yet.
    stack.disable().await;
    stack.pg.restart().await;
    for (sequence, recorded) in [(20_000, true), (20_001, false)] {
        let sql = format!("SELECT sr_event_writer_wait('netflow', {sequence}, '0')");
        assert_eq!(stack.pg.value::<bool>(&sql).await, recorded, "{sequence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_at_its_timeout_and_when_it_is_cancelled() {
    let stack = Stack::start().await;
    let began = Instant::now();
    let sql = "SELECT sr_event_writer_wait('netflow', 1, '300 ms')";
    assert!(!stack.pg.value::<bool>(sql).await);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");

    let began = Instant::now();
    let failure = stack
        .pg
        .refused("SET statement_timeout = '300ms'; SELECT sr_event_writer_wait('netflow', 1)")
        .await;
    assert_eq!(failure.sqlstate(), "57014", "{failure}");
    assert!(began.elapsed() < Duration::from_secs(3));
    let failure = stack
        .pg
        .refused("SELECT sr_event_writer_wait('netflows', 1)")
        .await;
    assert_eq!(failure.sqlstate(), "22023", "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_behind_a_hole_is_told_from_one_in_the_hole() {
    let stack = Stack::builder().disabled().start().await;
    let insert = "INSERT INTO sr_event_writer.stream_position
                  (pipeline, stream, stream_created, floor, above)
                  VALUES ('netflow', 'NETFLOW', now(), 4, '{[7,9]}')";
    stack.pg.execute(insert).await;
    for (sequence, recorded) in [(4, true), (5, false), (7, true), (9, true), (10, false)] {
        let sql = format!("SELECT sr_event_writer_wait('netflow', {sequence}, '0')");
        assert_eq!(stack.pg.value::<bool>(&sql).await, recorded, "{sequence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_paused_pipeline_can_be_moved() {
    let stack = Stack::builder().disabled().start().await;
    for target in ["5", "now()"] {
        let sql = format!("SELECT sr_event_writer_seek('netflow', {target})");
        let failure = stack.pg.refused(&sql).await;
        assert_eq!(failure.sqlstate(), "55000", "{failure}");
        assert!(
            failure.hint.contains("sr_event_writer_pause('netflow')"),
            "{failure}"
        );
        let failure = stack.pg.refused(&sql.replace("netflow", "nothing")).await;
        assert_eq!(failure.sqlstate(), "22023", "{failure}");
    }
    pause_anyway(&stack).await;
    for target in ["0", "-1", "timestamptz 'infinity'"] {
        let sql = format!("SELECT sr_event_writer_seek('netflow', {target})");
        let failure = stack.pg.refused(&sql).await;
        assert_eq!(failure.sqlstate(), "22023", "{failure}");
    }
}

/// While the writer is off, nothing shows that a pipeline is paused.
async fn pause_anyway(stack: &Stack) {
    let sql = "SELECT sr_event_writer_pause('netflow')";
    stack.pg.execute(sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_doubles_nothing_unless_it_is_forced() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..100).await;
    become_rows(&stack, 100).await;

    let text = seek(&stack, "51").await;
    assert!(
        text.contains("51 to 100") && text.contains("force"),
        "{text}"
    );
    publish(&stack, FEED, 100..110).await;
    stay_rows(&stack, 110).await;

    let text = seek(&stack, "51, force => true").await;
    assert!(
        text.contains("51 to 110") && text.contains("again"),
        "{text}"
    );
    stay_rows(&stack, 170).await;
    let sql = "SELECT count(*) FROM (SELECT octets FROM netflow_metrics
               GROUP BY 1 HAVING count(*) = 2 AND octets >= 50) twice";
    assert_eq!(stack.pg.value::<i64>(sql).await, 60);
    stack.expect_all_acknowledged(FEED).await;
    assert_eq!(gaps(&stack).await, []);

    // Once is enough, also after a crash.
    stack.pg.kill_all().await;
    stack.pg.start().await;
    publish(&stack, FEED, 110..120).await;
    stay_rows(&stack, 180).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_forward_leaves_messages_out_and_says_so_and_going_back_reads_them_after_all() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..10).await;
    become_rows(&stack, 10).await;
    pause(&stack).await;
    publish(&stack, FEED, 10..100).await;

    let text = seek(&stack, "61").await;
    assert!(text.contains("11 to 60"), "{text}");
    stay_rows(&stack, 50).await;
    assert_eq!(gaps(&stack).await, [gap(11, 60)]);
    stack.expect_all_acknowledged(FEED).await;
    let sql = "SELECT sr_event_writer_wait('netflow', 30, '5 s')";
    assert!(stack.pg.value::<bool>(sql).await, "left out is settled too");

    // It was a mistake: a part of them, and then all of them.
    seek(&stack, "41").await;
    stay_rows(&stack, 70).await;
    assert_eq!(gaps(&stack).await, [gap(11, 40)]);
    seek(&stack, "1").await;
    stack.expect_rows(FEED, 100, SOON).await;
    stay_rows(&stack, 100).await;
    assert_eq!(gaps(&stack).await, []);
    stack.expect_all_acknowledged(FEED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_end_means_the_end() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..10).await;
    become_rows(&stack, 10).await;
    pause(&stack).await;
    publish(&stack, FEED, 10..20).await;
    seek(&stack, "1000000").await;
    assert_eq!(gaps(&stack).await, [gap(11, 20)]);
    publish(&stack, FEED, 20..30).await;
    stay_rows(&stack, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_means_the_first_message_published_then_or_later() {
    let stack = Stack::builder().disabled().start().await;
    publish(&stack, FEED, 0..40).await;
    // The clocks of both servers are one. A message lies well before and well after.
    throughout(MOMENT, "time goes by", async || true).await;
    let moment: String = stack.pg.value("SELECT clock_timestamp()::text").await;
    throughout(MOMENT, "time goes by", async || true).await;
    publish(&stack, FEED, 40..100).await;
    // Removed messages are no obstacle.
    let jetstream = stack.nats.jetstream().await;
    let stream = jetstream.get_stream(FEED.stream()).await.unwrap();
    for sequence in (30..=45).chain([100]) {
        stream.delete_message(sequence).await.unwrap();
    }
    pause_anyway(&stack).await;
    let sql = format!("SELECT sr_event_writer_seek('netflow', '{moment}'::timestamptz)");
    stack.pg.execute(&sql).await;
    stack.enable().await;
    resume(&stack).await;
    become_rows(&stack, 54).await;
    let lowest: i64 = stack
        .pg
        .value("SELECT min(octets) FROM netflow_metrics")
        .await;
    assert_eq!(lowest, 45);

    let text = seek(&stack, &format!("'{moment}'::timestamptz, true")).await;
    assert!(text.contains("time"), "{text}");
    stay_rows(&stack, 108).await;
    seek(&stack, "now() + interval '1 day'").await;
    publish(&stack, FEED, 100..110).await;
    stay_rows(&stack, 118).await;
    seek(&stack, "'1999-01-01'::timestamptz").await;
    stay_rows(&stack, 118 + 29).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_belongs_to_its_transaction_and_survives_a_restart() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..50).await;
    become_rows(&stack, 50).await;
    pause(&stack).await;
    stack
        .pg
        .execute("BEGIN; SELECT sr_event_writer_seek('netflow', 1, true); ROLLBACK")
        .await;
    resume(&stack).await;
    stay_rows(&stack, 50).await;

    pause(&stack).await;
    stack
        .pg
        .execute("SELECT sr_event_writer_seek('netflow', 41, true)")
        .await;
    stack.pg.kill_all().await;
    stack.pg.start().await;
    stay_rows(&stack, 50).await;
    resume(&stack).await;
    stay_rows(&stack, 60).await;

    // A pause that nobody could see is none the less one.
    stack
        .pg
        .execute(
            "BEGIN; SELECT sr_event_writer_pause('netflow');
             SELECT sr_event_writer_seek('netflow', 46, true);
             SELECT sr_event_writer_resume('netflow'); COMMIT",
        )
        .await;
    stay_rows(&stack, 65).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_ends_without_a_message_of_the_pipeline_is_closed() {
    let stack = Stack::builder()
        .setting("sr_event_writer.stream_netflow", "subject=netflow.flows")
        .start()
        .await;
    publish(&stack, FEED, 0..5).await;
    let other = Message::plain("netflow.other", "{}");
    stack.nats.publish_messages([other.clone(), other]).await;
    publish(&stack, FEED, 5..10).await;
    become_rows(&stack, 10).await;
    // As if 3 to 7 had been lost on the way; 6 and 7 belong to another pipeline.
    stack.disable().await;
    writer_is(&stack, "disabled").await;
    stack
        .pg
        .execute(
            "UPDATE sr_event_writer.stream_position SET floor = 2, above = '{[8,12]}'
             WHERE pipeline = 'netflow';
             DELETE FROM netflow_metrics WHERE octets BETWEEN 2 AND 4",
        )
        .await;
    stack.enable().await;
    become_rows(&stack, 10).await;
    publish(&stack, FEED, 10..11).await;
    let sql = "SELECT floor FROM sr_event_writer.stream_position WHERE pipeline = 'netflow'";
    eventually_equal(SOON, "the floor", 13_i64, async || {
        stack.pg.try_value(sql).await
    })
    .await;
    stay_rows(&stack, 11).await;
}

async fn worker(stack: &Stack) -> i32 {
    stack.pg.worker_pid().await
}

async fn another_worker_than(stack: &Stack, known: i32) {
    eventually(SOON, "another worker", async || {
        let pid = stack.pg.try_worker_pid().await.ok().flatten();
        pid.filter(|pid| *pid != known)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_start_over_when_asked_to_and_only_then() {
    let stack = Stack::start().await;
    publish(&stack, FEED, 0..10).await;
    become_rows(&stack, 10).await;
    let first = worker(&stack).await;
    for transaction in [
        "BEGIN; SELECT sr_event_writer_restart(); ROLLBACK",
        "BEGIN; SAVEPOINT a; SELECT sr_event_writer_restart(); ROLLBACK TO a; COMMIT",
    ] {
        stack.pg.execute(transaction).await;
    }
    let same = async || worker(&stack).await == first;
    throughout(Duration::from_secs(2), "the worker is the same", same).await;

    stack.pg.execute("SELECT sr_event_writer_restart()").await;
    another_worker_than(&stack, first).await;
    publish(&stack, FEED, 10..20).await;
    become_rows(&stack, 20).await;

    let second = worker(&stack).await;
    let sql = "BEGIN; SAVEPOINT a; SELECT sr_event_writer_restart(); RELEASE a; COMMIT";
    stack.pg.execute(sql).await;
    another_worker_than(&stack, second).await;
    publish(&stack, FEED, 20..30).await;
    stay_rows(&stack, 30).await;
    assert!(!stack.pg.log_contains("terminated by signal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_also_ends_a_worker_that_waits_for_a_lock() {
    let stack = Stack::start().await;
    let first = worker(&stack).await;
    lock_behind_a_trigger(&stack, FEED).await;
    let blocker = stack.pg.connect().await;
    blocker.batch_execute("BEGIN; LOCK gate").await.unwrap();
    publish(&stack, FEED, 0..10).await;
    let waits = format!(
        "SELECT coalesce(bool_or(wait_event_type = 'Lock'), false) FROM pg_stat_activity WHERE pid = {first}"
    );
    eventually(SOON, "the worker waits for the lock", async || {
        stack.pg.value::<bool>(&waits).await
    })
    .await;
    stack.pg.execute("SELECT sr_event_writer_restart()").await;
    eventually(Duration::from_secs(5), "the worker has ended", async || {
        !pg_test::process::alive(first)
    })
    .await;
    blocker.batch_execute("COMMIT").await.unwrap();
    stay_rows(&stack, 10).await;
}
