//! Seven pipelines share a budget that each could use up alone: their tables are locked, and far
//! more is published than fits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use pg_test::process;
use pg_test::stack::{Builder, SOON, Stack};
use pg_test::wait::{eventually, throughout};

const MEGABYTE: u64 = 1 << 20;
/// The budget …
const BUDGET: &str = "16MB";
/// … and with it what the process may take beside it.
const LIMIT: u64 = (16 + 40) * MEGABYTE;
/// Pipelines that read the same stream.
const NAMES: [&str; 7] = ["one", "two", "three", "four", "five", "six", "seven"];

fn builder() -> Builder {
    Stack::builder()
        .without_keys()
        .disabled()
        .setting("sr_event_writer.buffer_memory", BUDGET)
}

/// The memory of the worker, which must never be too much.
struct Watch {
    worker: i32,
    peak: AtomicU64,
}

impl Watch {
    fn look(&self) {
        let memory = process::private_memory(self.worker).expect("the worker is the same");
        let peak = self.peak.fetch_max(memory, Ordering::Relaxed).max(memory);
        assert!(peak < LIMIT, "the worker used {} MB", peak / MEGABYTE);
    }
}

/// Switches the writer on, and waits until all pipelines have used up what memory they may have.
async fn filled(stack: &Stack) -> Watch {
    stack.enable().await;
    let watch = Watch {
        worker: stack.pg.worker_pid().await,
        peak: AtomicU64::new(0),
    };
    let sql = "SELECT count(*) FILTER (WHERE detail LIKE '%waits for memory%'),
            string_agg(name || ': ' || coalesce(detail, ''), '; ')
        FROM sr_event_writer.stream_status";
    eventually(SOON * 2, "all pipelines wait for memory", async || {
        watch.look();
        let row = stack.pg.query_one(sql, &[]).await;
        match row.get::<_, i64>(0) {
            7 => Ok(()),
            _ => Err(row.get::<_, Option<String>>(1).unwrap_or_default()),
        }
    })
    .await;
    throughout(Duration::from_secs(2), "memory is bounded", async || {
        watch.look();
        true
    })
    .await;
    watch
}

/// A good message that is larger by `bytes`.
fn padded(message: Message, bytes: usize) -> Message {
    let filler = format!(r#"{{"filler":"{}","#, "x".repeat(bytes));
    let payload = [filler.as_bytes(), &message.payload[1..]].concat();
    Message { payload, ..message }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_of_seven_blocked_pipelines_stay_within_the_budget() {
    const COUNT: u64 = 100;
    let stack = builder().start().await;
    // 140 MB; each pipeline alone would hold three batches of 8 MB.
    for feed in Feed::ALL {
        let messages = Generator::new(49).range(feed, 0..COUNT);
        let messages = messages.map(|message| padded(message, 200_000));
        stack.nats.publish_messages(messages).await;
    }
    let locker = stack.pg.connect().await;
    let tables = Feed::ALL.map(Feed::table).join(", ");
    let lock = format!("BEGIN; LOCK TABLE {tables} IN EXCLUSIVE MODE");
    locker.batch_execute(&lock).await.unwrap();
    let watch = filled(&stack).await;
    locker.batch_execute("ROLLBACK").await.unwrap();
    let done = AtomicBool::new(false);
    let look = eventually(SOON * 3, "all is written", async || {
        watch.look();
        done.load(Ordering::Relaxed)
    });
    let write = async {
        for feed in Feed::ALL {
            stack.expect_rows(feed, COUNT, SOON * 2).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(look, write);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_larger_than_their_messages_are_part_of_the_budget() {
    let mut builder = builder()
        .setting("sr_event_writer.streams", &NAMES.join(", "))
        .setting("sr_event_writer.max_batch_rows", "1000000");
    for name in NAMES {
        let key = format!("sr_event_writer.stream_{name}");
        builder = builder.setting(&key, "processor=logs subject=logs.>");
    }
    let stack = builder.start().await;
    // Payloads of 6 kB, whose rows take fifty times as much: 120 MB in each pipeline.
    let array = format!("[{}]", ["{}"; 2_000].join(","));
    let payloads = std::iter::repeat_n(array, 400);
    stack.nats.publish_all("logs.arrays", payloads).await;
    let locker = stack.pg.connect().await;
    let lock = "BEGIN; LOCK TABLE logs IN EXCLUSIVE MODE";
    locker.batch_execute(lock).await.unwrap();
    filled(&stack).await;
}
