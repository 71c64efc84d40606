//! Every sample becomes exactly the row that its case says: through the real stream into a
//! hypertable, and by `sr_event_writer_decode` alone.

mod case;
mod cases;
mod compare;

use pg_test::feed::Feed;
use pg_test::messages::Message;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::{eventually, eventually_equal};
use serde_json::Value;

use self::case::{Case, key};
use self::compare::assert_row;

/// All rows of a destination, as objects.
async fn rows(stack: &Stack, feed: Feed) -> Vec<Value> {
    let sql = format!("SELECT to_jsonb(t) FROM {} t", feed.table());
    stack
        .pg
        .query(&sql, &[])
        .await
        .iter()
        .map(|row| row.get(0))
        .collect()
}

async fn expect_samples(stack: &Stack, feed: Feed) {
    let cases: Vec<Case> = cases::all()
        .into_iter()
        .filter(|case| case.feed == feed)
        .collect();
    let messages = cases
        .iter()
        .map(|case| Message::plain(case.subject, case.payload));
    stack.nats.publish_messages(messages).await;

    let expected: Vec<&Case> = cases.iter().filter(|case| case.row.is_some()).collect();
    let refused = cases.iter().filter(|case| case.refused).count();
    eventually(
        SOON,
        format_args!("{} rows in {}", expected.len(), feed.table()),
        async || match stack.rows(feed).await {
            Ok(rows) if rows >= expected.len() as i64 => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;
    stack.expect_all_acknowledged(feed).await;
    let what = format!("dead letters of {}", feed.name());
    eventually_equal(SOON, what, refused as i64, async || {
        stack.dead_letters(feed).await
    })
    .await;

    let rows = rows(stack, feed).await;
    assert_eq!(
        rows.len(),
        expected.len(),
        "rows in {}: {rows:#?}",
        feed.table()
    );
    for case in expected {
        let wanted = case.row.as_ref().expect("a case with a row");
        let id = &wanted[key(feed)];
        let found = rows.iter().find(|row| row[key(feed)] == *id);
        let found = found.unwrap_or_else(|| panic!("{}: no row {id} in {rows:#?}", case.name));
        assert_row(&stack.pg, case.name, found, wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_become_their_rows_through_the_stream() {
    let stack = Stack::start().await;
    let sql = "SELECT count(*) FROM timescaledb_information.hypertables";
    assert_eq!(
        stack.pg.value::<i64>(sql).await,
        7,
        "the destinations are hypertables"
    );
    for feed in Feed::ALL {
        expect_samples(&stack, feed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_published_twice_are_no_further_rows_where_a_key_tells() {
    let stack = Stack::start().await;
    for feed in [
        Feed::Events,
        Feed::Sweep,
        Feed::OtelMetrics,
        Feed::OtelTraces,
        Feed::Logs,
    ] {
        let keyed = cases::all()
            .into_iter()
            .filter(|case| case.feed == feed && case.is_keyed());
        let keyed: Vec<Case> = keyed.collect();
        for _ in 0..2 {
            let messages = keyed
                .iter()
                .map(|case| Message::plain(case.subject, case.payload));
            stack.nats.publish_messages(messages).await;
        }
        let handled = 2 * keyed.len() as u64;
        eventually(SOON, "both rounds are handled", async || {
            let status = stack
                .stream_status(feed)
                .await
                .map_err(|failure| failure.to_string())?;
            if status["last_sequence"] == handled {
                Ok(())
            } else {
                Err(status.to_string())
            }
        })
        .await;
        let rows = keyed.iter().filter(|case| case.row.is_some()).count();
        assert_eq!(
            stack.rows(feed).await.unwrap(),
            rows as i64,
            "{}",
            feed.name()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_become_their_rows_by_decoding_alone() {
    let stack = Stack::builder().disabled().start().await;
    for case in cases::all() {
        // Omits cases whose result only a table can show.
        let Some(wanted) = case.row.as_ref().filter(|_| !case.needs_table) else {
            continue;
        };
        let sql = format!(
            "SELECT table_name, to_jsonb(jsonb_populate_record(NULL::{}, row))
               FROM sr_event_writer_decode($1, $2, $3)",
            case.feed.table()
        );
        let found = stack
            .pg
            .query(
                &sql,
                &[&case.feed.name(), &case.payload.as_bytes(), &case.subject],
            )
            .await;
        let first = found
            .first()
            .unwrap_or_else(|| panic!("{}: no row", case.name));
        assert_eq!(
            first.get::<_, String>(0),
            case.feed.table(),
            "{}",
            case.name
        );
        assert_row(&stack.pg, case.name, &first.get(1), wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_cannot_be_decoded_is_an_error_that_says_why() {
    let stack = Stack::builder().disabled().start().await;
    let sql = "SELECT * FROM sr_event_writer_decode('netflow', '{\"src_port\":\"https\"}', '')";
    let failure = stack.pg.refused(sql).await;
    assert!(failure.sqlstate().starts_with("22"), "{failure}");
    assert!(failure.detail.contains("src_port"), "{failure}");
    let failure = stack
        .pg
        .refused("SELECT * FROM sr_event_writer_decode('x', '{}', '')")
        .await;
    assert_eq!(failure.sqlstate(), "22023", "{failure}");
    let hint = failure.hint.to_lowercase();
    assert!(
        hint.contains("netflow"),
        "the hint lists the processors: {failure}"
    );
}
