//! An acknowledged message is on the disk of this server, whoever wrote it, and on that of a
//! standby where `ack_after` asks for it.

use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::feed::Feed;
use pg_test::process::{self, Signal};
use pg_test::stack::{Builder, SOON, Stack};
use pg_test::wait::{eventually, throughout};

use crate::fixtures::{detail_mentions, expect_exactly_once, publish, stream_status_where};

/// A work queue, whose table has no unique key.
const QUEUE: Feed = Feed::Netflow;
const OTHER: Feed = Feed::Logs;

async fn start(builder: Builder) -> Stack {
    let stack = builder
        .without_streams()
        .setting("sr_event_writer.streams", "netflow,logs")
        .start()
        .await;
    let (name, subjects) = (QUEUE.stream(), QUEUE.subjects());
    stack
        .nats
        .create_stream_keeping(&name, &[&subjects], RetentionPolicy::WorkQueue)
        .await;
    stack.create_stream(OTHER).await;
    stack
}

/// Number of messages still in the queue, which are not acknowledged.
async fn left(stack: &Stack) -> u64 {
    stack.nats.stream_state(&QUEUE.stream()).await.messages
}

/// Makes each row of a table wait for an advisory lock, for as long as it takes.
async fn guard(stack: &Stack, feed: Feed, key: u32) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
            $$BEGIN PERFORM pg_advisory_xact_lock(TG_ARGV[0]::int); RETURN NEW; END$$;
         CREATE TRIGGER guard BEFORE INSERT ON {}
            FOR EACH ROW EXECUTE FUNCTION guard({key})",
        feed.table()
    );
    stack.pg.execute(&sql).await;
}

/// Returns true while the worker waits for the lock with this key.
async fn is_waiting(stack: &Stack, key: u32) -> bool {
    let sql = format!(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {key} AND NOT granted"
    );
    let waiting = stack.pg.try_query(&sql, &[]).await;
    waiting.is_ok_and(|rows| rows.len() == 1)
}

async fn waits(stack: &Stack, key: u32) {
    let what = format!("the worker waits at {key}");
    eventually(SOON, what, async || is_waiting(stack, key).await).await;
}

/// It acknowledges messages that it finds recorded only once their record is on disk.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_worker_has_not_flushed_is_not_acknowledged_by_the_next_one_before() {
    let builder = Stack::builder()
        .without_keys()
        .setting("autovacuum", "off")
        .setting("wal_writer_flush_after", "1GB")
        .setting("bgwriter_lru_maxpages", "0")
        .setting("timescaledb.max_background_workers", "0")
        .setting("sr_event_writer.insert_timeout", "10min")
        .setting("sr_event_writer.stream_logs", "batch_size=50");
    let stack = start(builder).await;
    guard(&stack, QUEUE, 1).await;
    guard(&stack, OTHER, 2).await;
    let gates = stack.pg.connect().await;
    let shut = "SELECT pg_advisory_lock(1), pg_advisory_lock(2)";
    gates.batch_execute(shut).await.expect("two locks");
    publish(&stack, QUEUE, 0..50).await;
    waits(&stack, 1).await;
    publish(&stack, OTHER, 0..50).await;
    eventually(SOON, "a batch of the other stream", async || {
        let info = stack
            .nats
            .consumer(&OTHER.stream(), &OTHER.consumer())
            .await?;
        match info.delivered.stream_sequence {
            50 => Ok(()),
            sent => Err(format!("{sent} sent")),
        }
    })
    .await;
    // The status cannot say that the worker has the batch as well: its main thread waits.
    let second = Duration::from_secs(1);
    throughout(second, "it waits", async || is_waiting(&stack, 1).await).await;
    // From now on the WAL is flushed only on request.
    let writer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'";
    process::kill(stack.pg.value(writer).await, Signal::SIGSTOP);
    let open = "SELECT pg_advisory_unlock(1)";
    gates.batch_execute(open).await.expect("an open gate");
    // It has committed, and had something else to do at once.
    waits(&stack, 2).await;
    assert_eq!(left(&stack).await, 50, "nothing is acknowledged yet");
    stack.nats.delete_stream(&OTHER.stream()).await;
    let worker = stack.pg.worker_pid().await;
    let end = format!("SELECT pg_terminate_backend({worker})");
    stack.pg.execute(&end).await;
    eventually(SOON, "the next worker acknowledges", async || {
        match left(&stack).await {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        }
    })
    .await;
    stack.pg.lose_power().await;
    stack.pg.start().await;
    assert_eq!(stack.rows(QUEUE).await.expect("rows"), 50);
}

/// A power failure takes from a standby what it has written and not forced to its disk.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_standby_has_only_written_is_not_acknowledged_as_replicated() {
    let builder = Stack::builder()
        .without_keys()
        .setting("sr_event_writer.ack_after", "replicated");
    let stack = start(builder).await;
    let _receiver = stack.pg.receive_log("receiver").await;
    let names = ("synchronous_standby_names", "receiver");
    stack.pg.alter_system(names.0, names.1).await;
    let sync = "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'receiver'";
    eventually(SOON, "the receiver is synchronous", async || {
        match stack.pg.try_value::<String>(sync).await {
            Ok(state) if state == "sync" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // Sessions of the test do not wait for it.
    publish(&stack, QUEUE, 0..50).await;
    stack.expect_rows(QUEUE, 50, SOON).await;
    let words = "to have them on disk";
    stream_status_where(&stack, QUEUE, words, detail_mentions(words)).await;
    let written = "SELECT write_lsn >= pg_current_wal_flush_lsn() AND flush_lsn < write_lsn
        FROM pg_stat_replication WHERE application_name = 'receiver'";
    eventually(SOON, "it has written everything", async || {
        match stack.pg.try_value::<bool>(written).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let held = "nothing is acknowledged";
    throughout(Duration::from_secs(2), held, async || {
        left(&stack).await == 50
    })
    .await;
    // The receiver forces a segment to disk when it is complete.
    stack
        .pg
        .value::<String>("SELECT pg_switch_wal()::text")
        .await;
    expect_exactly_once(&stack, &[QUEUE], 50).await;
    assert_eq!(left(&stack).await, 0);
}
