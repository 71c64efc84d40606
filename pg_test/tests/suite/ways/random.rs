//! COPY and INSERT give the same rows and dead letters for random payloads in batches of any size.
//!
//! The default seed is fixed, so that a failure is due to a change of the code; `SR_WAYS_SEED` sets
//! another, `SR_WAYS_ROUNDS` the number of rounds.

mod payloads;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use pg_test::feed::Feed;
use pg_test::messages::Message;
use pg_test::random::Random;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use self::payloads::{Odd, draw_messages, marker_column, unique_key};
use crate::fixtures::number;
use crate::ways::{create_second_tables, differing_rows, second_options, second_pipelines};

const SEED: u64 = 1;
/// Each has a seed of its own: one more than that of the round before it.
const ROUNDS: u64 = 4;
/// Messages of each feed in a round, on average.
const MESSAGES: u64 = 250;

/// Figures of a round, for people to read.
#[derive(Debug, Default)]
struct Seen {
    messages: usize,
    rows: i64,
    dead_letters: usize,
    /// Number of these that the table refused.
    of_the_table: usize,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.rows += other.rows;
        self.dead_letters += other.dead_letters;
        self.of_the_table += other.of_the_table;
    }
}

/// Empties both tables of a feed; whether they have a unique key now.
async fn change_tables(stack: &Stack, random: &mut Random, feed: Feed) -> bool {
    let (table, key) = (feed.table(), unique_key(feed));
    let has_key = random.below(2) == 0;
    for schema in ["public", "second"] {
        let create = format!("CREATE UNIQUE INDEX {table}_key ON {schema}.{table} ({key})");
        let sql = format!(
            "TRUNCATE {schema}.{table}; DROP INDEX IF EXISTS {schema}.{table}_key; {}",
            if has_key { &create } else { "" }
        );
        stack.pg.execute(&sql).await;
    }
    has_key
}

/// Other sizes of batches and of transactions, on both ways.
async fn change_sizes(stack: &Stack, random: &mut Random) {
    let set = async |key: &str, value: String| {
        let key = format!("sr_event_writer.{key}");
        let result = stack.pg.try_alter_system(&key, &value).await;
        result.unwrap_or_else(|failure| panic!("{key} = {value}: {failure}"));
    };
    for feed in Feed::ALL {
        let mut size = || format!("batch_timeout=50ms batch_size={}", 1 + random.below(150));
        set(&format!("stream_{}", feed.name()), size()).await;
        let options = second_options(feed, &size());
        set(&format!("stream_second_{}", feed.name()), options).await;
    }
    set("max_batch_rows", (20 + random.below(500)).to_string()).await;
    stack.pg.reload().await;
}

/// Waits until both pipelines of a feed have recorded everything up to a sequence.
async fn both_have_recorded(stack: &Stack, feed: Feed, last: u64) {
    let name = feed.name();
    let sql = format!(
        "SELECT count(*) FILTER (WHERE floor >= {last}), string_agg(pipeline || ' ' || floor, ', ')
         FROM sr_event_writer.stream_position WHERE pipeline IN ('{name}', 'second_{name}')"
    );
    let what = format!("both pipelines of {name} have recorded sequence {last}");
    eventually(SOON, what, async || {
        let row = stack.pg.query_one(&sql, &[]).await;
        match row.get::<_, i64>(0) {
            2 => Ok(()),
            _ => Err(row.get::<_, Option<String>>(1).unwrap_or_default()),
        }
    })
    .await;
}

/// Sequence of each dead letter, and what it says but for where in which index there was no room.
async fn dead_letters(stack: &Stack, pipeline: &str, first: u64) -> Vec<(u64, String)> {
    let sql = format!(
        "SELECT sequence, concat_ws(' ', stage, sqlstate, regexp_replace(error, ' for index .*', ''))
         FROM sr_event_writer.dead_letter WHERE stream = '{pipeline}' AND sequence >= {first}
         ORDER BY sequence, id"
    );
    let rows = stack.pg.query(&sql, &[]).await;
    rows.iter()
        .map(|row| (row.get::<_, i64>(0) as u64, row.get(1)))
        .collect()
}

/// Rows of a table, and how many different markers are in it.
async fn rows_and_markers(stack: &Stack, schema: &str, feed: Feed) -> (i64, i64) {
    let (table, marker) = (feed.table(), marker_column(feed));
    let sql = format!(
        "SELECT count(*), count(DISTINCT {marker}) FILTER (WHERE {marker} ~ '^m[0-9]+[.][0-9]+$')
         FROM {schema}.{table}"
    );
    let row = stack.pg.query_one(&sql, &[]).await;
    (row.get(0), row.get(1))
}

/// Compares what became of the messages of one feed.
async fn compare(
    stack: &Stack,
    seed: u64,
    feed: Feed,
    has_key: bool,
    messages: &BTreeMap<u64, Odd>,
) -> Seen {
    let name = feed.name();
    let context = format!("SR_WAYS_SEED={seed}, {name}, unique key: {has_key}");
    let (first, _) = messages.first_key_value().expect("a message");
    let letters = dead_letters(stack, name, *first).await;
    let others = dead_letters(stack, &format!("second_{name}"), *first).await;
    let shown = |(sequence, error): &(u64, String)| {
        let payload = String::from_utf8_lossy(&messages[sequence].payload);
        format!("{sequence} {error}: {payload}")
    };
    let of_one = |letters: &[(u64, String)], others: &[(u64, String)]| -> Vec<String> {
        let lonely = letters.iter().filter(|letter| !others.contains(letter));
        lonely.map(shown).collect()
    };
    let (of_first, of_second) = (of_one(&letters, &others), of_one(&others, &letters));
    assert!(
        of_first.is_empty() && of_second.is_empty() && letters.len() == others.len(),
        "{context}: dead letters of the first way only {of_first:?}, of the second only {of_second:?}"
    );
    let differing = differing_rows(stack, feed).await;
    assert!(
        differing.is_empty(),
        "{context}: rows differ: {differing:?}"
    );

    let refused: BTreeSet<u64> = letters.iter().map(|(sequence, _)| *sequence).collect();
    let mut objects = 0;
    let mut markers = BTreeSet::new();
    for (sequence, message) in messages {
        if refused.contains(sequence) {
            continue;
        }
        let payload = String::from_utf8_lossy(&message.payload);
        assert!(!message.broken, "{context}: was not refused: {payload}");
        objects += message.objects as i64;
        markers.extend(&message.markers);
    }
    let (rows, marked) = rows_and_markers(stack, "public", feed).await;
    assert_eq!(
        marked,
        markers.len() as i64,
        "{context}: objects found again"
    );
    match has_key {
        true => assert!(
            rows <= objects,
            "{context}: {rows} rows of {objects} objects"
        ),
        false => assert_eq!(rows, objects, "{context}: rows"),
    }
    Seen {
        messages: messages.len(),
        rows,
        dead_letters: letters.len(),
        of_the_table: letters.iter().filter(|l| l.1.starts_with("insert")).count(),
    }
}

/// The ring of buffers that COPY writes through leaves a trace.
async fn copy_was_used(stack: &Stack) {
    let sql = "SELECT sum(hits + extends)::bigint > 0 FROM pg_stat_io
        WHERE backend_type = 'background worker' AND context = 'bulkwrite'";
    eventually(SOON, "the worker has written in bulk", async || {
        stack
            .pg
            .value::<Option<bool>>(sql)
            .await
            .unwrap_or_default()
    })
    .await;
}

async fn round(stack: &Stack, seed: u64) -> Seen {
    let random = &mut Random::new(seed);
    change_sizes(stack, random).await;
    let mut published = Vec::new();
    for feed in Feed::ALL {
        let has_key = change_tables(stack, random, feed).await;
        let count = 1 + random.below(2 * MESSAGES);
        let drawn = draw_messages(random, feed, count as usize);
        let subject = feed.subjects().replace('>', "random");
        let messages = drawn
            .iter()
            .map(|odd| Message::plain(&subject, odd.payload.clone()));
        let sequences = stack.nats.publish_messages(messages).await;
        let messages: BTreeMap<u64, Odd> = sequences.into_iter().zip(drawn).collect();
        published.push((feed, has_key, messages));
    }
    let mut total = Seen::default();
    for (feed, has_key, messages) in published {
        let (last, _) = messages.last_key_value().expect("a message");
        both_have_recorded(stack, feed, *last).await;
        let seen = compare(stack, seed, feed, has_key, &messages).await;
        total.add(&seen);
    }
    total
}

#[tokio::test(flavor = "multi_thread")]
async fn random_batches_become_the_same_rows_and_dead_letters_on_both_ways() {
    // Before the second tables are made like the first: whether a table has a key is for each round
    // to say.
    let builder = Stack::builder().disabled().without_keys();
    let stack = second_pipelines(builder).start().await;
    create_second_tables(&stack).await;
    stack.enable().await;
    let first = number("SR_WAYS_SEED", SEED);
    let mut total = Seen::default();
    for seed in first..first + number("SR_WAYS_ROUNDS", ROUNDS) {
        let seen = round(&stack, seed).await;
        println!("seed {seed}: {seen:?}");
        total.add(&seen);
    }
    let all_kinds = total.rows > 0 && total.dead_letters > total.of_the_table;
    assert!(all_kinds && total.of_the_table > 0, "{total:?}");
    copy_was_used(&stack).await;
}
