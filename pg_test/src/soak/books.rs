//! Reads the content of the database at the end, and computes the expected content.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::account::{Account, Expected, Fate, Found};
use super::load::{Published, Sent};
use super::servers::Servers;
use crate::feed::Feed;

/// Messages whose rows are computed in one query.
const PART: u64 = 5_000;

/// Hash of a row, without the time at which it was written.
const ROW: &str = "hashtextextended((to_jsonb(r) - 'created_at')::text, 0)";

/// Hash of a dead letter's content.
const LETTER: &str = "hashtextextended(
    ROW(l.stream, l.nats_stream, l.sequence, l.subject, l.payload, l.stage, l.sqlstate)::text, 0)";

impl Fate {
    /// Returns stage and SQLSTATE of the dead letter, or empty strings if there is none.
    fn reason(self) -> (&'static str, &'static str) {
        match self {
            Self::Row => ("", ""),
            Self::Undecodable | Self::Unreadable => ("decode", "22000"),
            Self::Refused => ("insert", "23514"),
            Self::Crashing => ("insert", "XX000"),
        }
    }
}

impl Servers {
    /// Compares the published messages with the content of the database.
    pub(super) async fn account(&self, published: &Published) -> Account {
        let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
        for feed in Feed::ALL {
            let count = published.len(feed);
            let mut all = Vec::new();
            for start in (0..count).step_by(PART as usize) {
                let part = start..count.min(start + PART);
                all.extend(self.expected(feed, published, part).await);
            }
            expected.insert(feed, all);
            found.insert(feed, self.found(feed).await);
        }
        Account::of(&expected, &found)
    }

    /// Returns the expected results of some messages, with their contents.
    async fn expected(
        &self,
        feed: Feed,
        published: &Published,
        numbers: Range<u64>,
    ) -> Vec<Expected> {
        let sent: Vec<Sent> = numbers.map(|number| published.sent(feed, number)).collect();
        let (rows, letters): (Vec<&Sent>, Vec<&Sent>) = sent
            .iter()
            .partition(|sent| sent.expected.fate == Fate::Row);
        let mut contents = self.contents_of_rows(feed, &rows).await;
        contents.extend(self.contents_of_letters(feed, &letters).await);
        sent.into_iter()
            .map(|sent| Expected {
                content: contents.get(&sent.message.marker).copied(),
                ..sent.expected
            })
            .collect()
    }

    /// Returns the row that the decoder makes of each message, by the message's number.
    async fn contents_of_rows(&self, feed: Feed, sent: &[&Sent]) -> HashMap<u64, i64> {
        let (name, table) = (feed.name(), feed.table());
        let sql = format!(
            "SELECT m.number, {ROW} FROM unnest($1::int8[], $2::bytea[], $3::text[])
                 AS m (number, payload, subject),
             LATERAL sr_event_writer_decode('{name}', m.payload, m.subject) d,
             LATERAL jsonb_populate_record(NULL::{table}, d.\"row\") r"
        );
        let contents = self.contents(&sql, sent).await;
        assert_eq!(contents.len(), sent.len(), "rows of {name}");
        contents
    }

    /// Returns the expected dead letter of each message, by the message's number.
    async fn contents_of_letters(&self, feed: Feed, sent: &[&Sent]) -> HashMap<u64, i64> {
        let (name, stream) = (feed.name(), feed.stream());
        let sql = format!(
            "SELECT m.number, {LETTER}
             FROM unnest($1::int8[], $2::bytea[], $3::text[], $4::int8[], $5::text[], $6::text[])
                 AS m (number, payload, subject, sequence, stage, sqlstate),
             LATERAL (SELECT '{name}'::text AS stream, '{stream}'::text AS nats_stream, m.*) l"
        );
        let sequences: Vec<i64> = sent.iter().map(|s| s.sequence.cast_signed()).collect();
        let reasons = sent.iter().map(|sent| sent.expected.fate.reason());
        let (stages, sqlstates): (Vec<&str>, Vec<&str>) = reasons.unzip();
        let rows = {
            let (numbers, payloads, subjects) = columns(sent);
            self.primary()
                .query(
                    &sql,
                    &[
                        &numbers, &payloads, &subjects, &sequences, &stages, &sqlstates,
                    ],
                )
                .await
        };
        by_number(&rows)
    }

    async fn contents(&self, sql: &str, sent: &[&Sent]) -> HashMap<u64, i64> {
        let (numbers, payloads, subjects) = columns(sent);
        let rows = self
            .primary()
            .query(sql, &[&numbers, &payloads, &subjects])
            .await;
        by_number(&rows)
    }

    async fn found(&self, feed: Feed) -> Found {
        let (table, marker, name) = (feed.table(), feed.marker_column(), feed.name());
        let sql = format!("SELECT {marker}::text, {ROW} FROM {table} r");
        let mut rows: HashMap<u64, Vec<i64>> = HashMap::new();
        for row in self.primary().query(&sql, &[]).await {
            let marker: String = row.get(0);
            let number = feed.number_of(&marker);
            let number = number.unwrap_or_else(|| panic!("{marker} in {table}"));
            rows.entry(number).or_default().push(row.get(1));
        }
        // The publisher's message id consists of the subject and the number, even where the headers
        // could not be parsed.
        let letters = format!(
            "SELECT coalesce(split_part(headers -> 'Nats-Msg-Id' ->> 0, ' ', 2),
                substring(encode(raw_headers, 'escape') FROM 'Nats-Msg-Id: \\S+ (\\d+)')), {LETTER}
             FROM (TABLE sr_event_writer.dead_letter UNION ALL TABLE soak_letter) l
             WHERE stream = '{name}'"
        );
        let letters = self.primary().query(&letters, &[]).await;
        let letters = letters.iter().map(|row| {
            let number: Option<String> = row.get(0);
            (number.and_then(|number| number.parse().ok()), row.get(1))
        });
        let gaps = format!(
            "SELECT (extract(epoch FROM stream_created) * 1000000)::bigint,
                first_sequence, last_sequence
             FROM (TABLE sr_event_writer.stream_gap UNION ALL TABLE soak_gap) g
             WHERE pipeline = '{name}'"
        );
        let gaps = self.primary().query(&gaps, &[]).await;
        let unsigned = |value: i64| value.unsigned_abs();
        Found {
            rows,
            letters: letters.collect(),
            gaps: gaps
                .iter()
                .map(|row| (row.get(0), unsigned(row.get(1)), unsigned(row.get(2))))
                .collect(),
        }
    }
}

/// Returns the numbers, payloads and subjects of messages.
fn columns<'a>(sent: &[&'a Sent]) -> (Vec<i64>, Vec<&'a [u8]>, Vec<&'a str>) {
    let messages = || sent.iter().map(|sent| &sent.message);
    (
        messages().map(|m| m.marker.cast_signed()).collect(),
        messages().map(|m| m.payload.as_slice()).collect(),
        messages().map(|m| m.subject.as_str()).collect(),
    )
}

fn by_number(rows: &[tokio_postgres::Row]) -> HashMap<u64, i64> {
    let entry = |row: &tokio_postgres::Row| (row.get::<_, i64>(0).unsigned_abs(), row.get(1));
    rows.iter().map(entry).collect()
}
