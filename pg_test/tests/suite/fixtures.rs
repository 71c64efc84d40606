//! Helpers that several topics share.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;
use serde_json::Value;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Loads the build that `make faulty` installs beside the real one.
pub const FAULTY_LIBRARY: (&str, &str) = (
    "dynamic_library_path",
    "$libdir/sr_event_writer_faults:$libdir",
);

/// The user in nats.conf whom the tests' own connections log in as, where the server has users.
pub const TESTS_USER: &str = "{ user: tests, password: tests }";

/// The login of the tests' own connections, as [`TESTS_USER`].
pub fn tests_login() -> async_nats::ConnectOptions {
    async_nats::ConnectOptions::with_user_and_password("tests".to_owned(), "tests".to_owned())
}

/// Of the messages that are published here.
const SEED: u64 = 17;

/// A number from the environment, for a longer or shorter run.
pub fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else {
        return default;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{variable}={text} is not a number"))
}

/// Publishes good messages of a feed with these numbers; their sequences.
pub async fn publish(stack: &Stack, feed: Feed, numbers: Range<u64>) -> Vec<u64> {
    let messages = Generator::new(SEED).range(feed, numbers);
    stack.nats.publish_messages(messages).await
}

/// The gaps of all pipelines, in the order in which they were recorded.
pub async fn gaps(stack: &Stack) -> Vec<(i64, i64)> {
    let sql = "SELECT first_sequence, last_sequence FROM sr_event_writer.stream_gap ORDER BY id";
    let rows = stack.pg.query(sql, &[]).await;
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Waits until the pipeline is in this state.
pub async fn stream_is(stack: &Stack, feed: Feed, state: &str) {
    let is = |status: &Value| status["state"] == state;
    stream_status_where(stack, feed, state, is).await;
}

/// Waits until the status of the feed's pipeline satisfies `fits`; that status.
pub async fn stream_status_where(
    stack: &Stack,
    feed: Feed,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    pipeline_status_where(stack, feed.name(), what, fits).await
}

/// Waits until the status of the pipeline `name` satisfies `fits`; that status.
pub async fn pipeline_status_where(
    stack: &Stack,
    name: &str,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    let what = format!("the status of {name} says {what}");
    eventually(Duration::from_secs(30), what, async || {
        let status = stack
            .pipeline_status(name)
            .await
            .map_err(|failure| failure.to_string())?;
        if fits(&status) {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    })
    .await
}

/// Returns a check whether `detail` of a pipeline's status mentions a word.
pub fn detail_mentions(word: &str) -> impl Fn(&Value) -> bool {
    move |status| {
        status["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(word))
    }
}

/// Waits until the whole writer is in this state.
pub async fn writer_is(stack: &Stack, state: &str) {
    eventually(
        Duration::from_secs(30),
        format_args!("state {state}"),
        async || {
            let status = stack
                .status()
                .await
                .map_err(|failure| failure.to_string())?;
            if status["state"] == state {
                Ok(())
            } else {
                Err(status.to_string())
            }
        },
    )
    .await;
}

/// Texts of the server log about a crash, an open resource or overwritten memory.
const HARM: [&str; 8] = [
    "was terminated by signal",
    "PANIC",
    "TRAP",
    " leak: ",
    "was not closed",
    "cache lookup failed",
    "could not find",
    "invalid memory alloc",
];

/// No process of the server crashed so far, unless a test killed it, and none lost track of what it
/// holds.
pub fn assert_unharmed(stack: &Stack) {
    let log = stack.pg.log();
    let harm = |line: &&str| HARM.iter().any(|words| line.contains(words));
    assert_eq!(log.lines().find(harm), None, "in the server log");
}

/// Interval at which [`under_load`] publishes, and the number of messages of each feed.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);
const MESSAGES_EACH: u64 = 40;

/// Publishes good messages of these feeds, numbered from `first`, for as long as `work` takes. The
/// number of the next message, and what the work gave.
pub async fn under_load<T>(
    stack: &Stack,
    feeds: &[Feed],
    first: u64,
    work: impl Future<Output = T>,
) -> (u64, T) {
    let generator = Generator::new(first);
    let done = AtomicBool::new(false);
    let publish = async {
        let mut next = first;
        let mut interval = tokio::time::interval(PUBLISH_INTERVAL);
        while !done.load(Ordering::Relaxed) {
            interval.tick().await;
            let numbers = next..next + MESSAGES_EACH;
            let messages = feeds
                .iter()
                .flat_map(|&feed| generator.range(feed, numbers.clone()));
            stack
                .nats
                .publish_until_stored(messages.collect::<Vec<_>>())
                .await;
            next = numbers.end;
        }
        next
    };
    let work = async {
        let result = work.await;
        done.store(true, Ordering::Relaxed);
        result
    };
    tokio::join!(publish, work)
}

/// Waits until every message of these feeds, numbered from 0 to `count`, is a row, and only one;
/// none is a dead letter, and all are acknowledged.
pub async fn expect_exactly_once(stack: &Stack, feeds: &[Feed], count: u64) {
    for &feed in feeds {
        stack
            .expect_rows(feed, count, Duration::from_secs(90))
            .await;
        assert_eq!(stack.dead_letters(feed).await.unwrap(), 0, "{feed:?}");
    }
    for &feed in feeds {
        stack.expect_all_acknowledged(feed).await;
        // A second copy may have come after the first count.
        stack.expect_rows(feed, count, SOON).await;
    }
}

/// Waits until the table has more rows than now.
pub async fn rows_are_added(stack: &Stack, feed: Feed, within: Duration) {
    let known = stack.rows(feed).await.expect("count rows");
    let what = format!("more than {known} rows in {}", feed.table());
    eventually(within, what, async || match stack.rows(feed).await {
        Ok(rows) if rows > known => Ok(()),
        Ok(rows) => Err(format!("{rows} rows")),
        Err(failure) => Err(failure.to_string()),
    })
    .await;
}

/// Makes each row of the feed's table wait while table `gate` is locked, for as long as it takes: a
/// lock on the table itself is not waited for longer than two seconds.
pub async fn lock_behind_a_trigger(stack: &Stack, feed: Feed) {
    let sql = format!(
        "CREATE TABLE gate ();
         CREATE FUNCTION pass_the_gate() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
            $$BEGIN PERFORM FROM public.gate; RETURN NEW; END$$;
         CREATE TRIGGER pass_the_gate BEFORE INSERT ON {}
            FOR EACH ROW EXECUTE FUNCTION pass_the_gate()",
        feed.table()
    );
    stack.pg.execute(&sql).await;
}
