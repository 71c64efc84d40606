//! Dead letters are resolved: replayed, each exactly once, or discarded.

mod destination;
mod grants;
mod refused;
mod sessions;

use pg_test::feed::Feed;
use pg_test::messages::{Defect, Generator};
use pg_test::postgres::Failure;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

/// Netflow has no unique key, so a row that is written twice is there twice.
const FEED: Feed = Feed::Netflow;

/// One row of `sr_event_writer_replay`.
#[derive(Debug, PartialEq)]
struct Outcome {
    id: i64,
    ok: bool,
    table: Option<String>,
    rows: Option<i64>,
    error: String,
}

async fn replay_on(client: &tokio_postgres::Client, arguments: &str) -> Vec<Outcome> {
    let sql = format!("SELECT * FROM sr_event_writer_replay({arguments})");
    let rows = client.query(&sql, &[]).await;
    let rows = rows.unwrap_or_else(|e| panic!("{}", Failure::from(e)));
    let outcome = |row: &tokio_postgres::Row| Outcome {
        id: row.get(0),
        ok: row.get(1),
        table: row.get(2),
        rows: row.get(3),
        error: row.get::<_, Option<String>>(4).unwrap_or_default(),
    };
    rows.iter().map(outcome).collect()
}

async fn replay(stack: &Stack, arguments: &str) -> Vec<Outcome> {
    replay_on(&stack.pg.connect().await, arguments).await
}

fn ids(outcomes: &[Outcome]) -> Vec<i64> {
    outcomes.iter().map(|outcome| outcome.id).collect()
}

/// Ten netflow messages, of which a CHECK constraint has refused those with odd numbers.
async fn five_refused() -> Stack {
    let stack = Stack::builder().disabled().start().await;
    stack
        .pg
        .execute("ALTER TABLE netflow_metrics ADD CONSTRAINT even CHECK (octets % 2 = 0)")
        .await;
    let messages = Generator::new(41).range(FEED, 0..10);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    letters(&stack, 5).await;
    stack.expect_rows(FEED, 5, SOON).await;
    stack
}

async fn letters(stack: &Stack, count: i64) {
    eventually_equal(SOON, "dead letters", count, async || {
        let sql = "SELECT count(*) FROM sr_event_writer.dead_letter";
        stack.pg.try_value(sql).await
    })
    .await;
}

async fn mend(stack: &Stack) {
    stack
        .pg
        .execute("ALTER TABLE netflow_metrics DROP CONSTRAINT even")
        .await;
}

async fn resolutions(stack: &Stack) -> Vec<Option<String>> {
    let sql = "SELECT resolution, resolved_at IS NOT NULL FROM sr_event_writer.dead_letter
               ORDER BY id";
    let rows = stack.pg.query(sql, &[]).await;
    let resolution = |row: &tokio_postgres::Row| {
        let resolution: Option<String> = row.get(0);
        assert_eq!(
            resolution.is_some(),
            row.get::<_, bool>(1),
            "resolution and its time"
        );
        resolution
    };
    rows.iter().map(resolution).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_table_takes_the_letters_once() {
    let stack = five_refused().await;
    // They still fail: nothing changes, and each reports the reason.
    let outcomes = replay(&stack, "").await;
    assert_eq!(ids(&outcomes), [1, 2, 3, 4, 5]);
    for outcome in &outcomes {
        assert!(!outcome.ok && outcome.rows.is_none(), "{outcome:?}");
        assert!(outcome.error.contains("even"), "{outcome:?}");
        assert!(outcome.error.contains("23514"), "{outcome:?}");
    }
    assert_eq!(stack.rows(FEED).await.unwrap(), 5);

    mend(&stack).await;
    let trial = replay(&stack, "dry_run => true").await;
    assert!(trial.iter().all(|outcome| outcome.ok), "{trial:?}");
    assert_eq!(stack.rows(FEED).await.unwrap(), 5);
    assert_eq!(resolutions(&stack).await, [const { None }; 5]);

    let outcomes = replay(&stack, "").await;
    assert_eq!(outcomes, trial, "what the trial had said");
    assert_eq!(outcomes[0].table.as_deref(), Some("public.netflow_metrics"));
    assert_eq!(outcomes[0].rows, Some(1));
    assert_eq!(
        resolutions(&stack).await,
        [const { Some("replayed") }; 5].map(|r| r.map(str::to_owned))
    );
    assert_eq!(replay(&stack, "").await, []);
    assert_eq!(replay(&stack, "ids => ARRAY[1, 2, 3]").await, []);
    stack.expect_rows(FEED, 10, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_still_bad_costs_no_other() {
    let stack = five_refused().await;
    mend(&stack).await;
    // Octets 5 is letter 3.
    stack
        .pg
        .execute("ALTER TABLE netflow_metrics ADD CONSTRAINT five CHECK (octets <> 5)")
        .await;
    let broken = Generator::new(42).broken(FEED, 1, Defect::Truncated);
    stack.nats.publish_messages([broken]).await;
    letters(&stack, 6).await;

    let outcomes = replay(&stack, "").await;
    let ok: Vec<bool> = outcomes.iter().map(|outcome| outcome.ok).collect();
    assert_eq!(ok, [true, true, false, true, true, false], "{outcomes:?}");
    assert!(outcomes[2].error.contains("five"), "{outcomes:?}");
    assert!(outcomes[5].error.contains("22000"), "{outcomes:?}");
    let done = || Some("replayed".to_owned());
    assert_eq!(
        resolutions(&stack).await,
        [done(), done(), None, done(), done(), None]
    );
    stack.expect_rows(FEED, 9, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_chosen_by_pipeline_by_number_and_some_at_a_time() {
    let stack = five_refused().await;
    mend(&stack).await;
    assert_eq!(replay(&stack, "'logs'").await, []);
    assert_eq!(
        ids(&replay(&stack, "'netflow', ids => ARRAY[4, 99, NULL]").await),
        [4]
    );
    assert_eq!(ids(&replay(&stack, "\"limit\" => 2").await), [1, 2]);
    assert_eq!(ids(&replay(&stack, "'netflow', ARRAY[1, 4, 5]").await), [5]);
    stack.expect_rows(FEED, 9, SOON).await;
    stack
        .pg
        .execute("BEGIN; SELECT sr_event_writer_replay(); ROLLBACK")
        .await;
    stack.expect_rows(FEED, 9, SOON).await;
    assert_eq!(ids(&replay(&stack, "").await), [3], "it was rolled back");
    stack.expect_rows(FEED, 10, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discarded_letters_are_resolved_and_never_replayed() {
    let stack = five_refused().await;
    mend(&stack).await;
    let sql = "SELECT sr_event_writer_discard(ARRAY[2, 3, 3, NULL, 77])";
    assert_eq!(stack.pg.value::<i64>(sql).await, 2);
    assert_eq!(stack.pg.value::<i64>(sql).await, 0, "once is enough");
    assert_eq!(resolutions(&stack).await[1].as_deref(), Some("discarded"));
    assert_eq!(ids(&replay(&stack, "").await), [1, 4, 5]);
    let sql = "SELECT sr_event_writer_discard(ARRAY[1])";
    assert_eq!(stack.pg.value::<i64>(sql).await, 0, "it was replayed");
    stack.expect_rows(FEED, 8, SOON).await;
}
