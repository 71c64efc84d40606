//! The servers on which the contenders run in turn: one PostgreSQL that flushes to a real disk, one
//! NATS, the same messages in the stream, and the same empty table before each round.

use std::time::Duration;

use async_nats::jetstream::Context;
use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::Stack;
use pg_test::wait;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::workload::Workload;

/// Timeout of a round.
const ROUND: Duration = Duration::from_secs(600);
/// Interval between two queries for the progress of a round, and so the precision of its duration.
const LOOK: Duration = Duration::from_millis(5);
const SOON: Duration = Duration::from_secs(30);
/// Rows in a piece: as many as one transaction of the extension while it has a backlog.
pub const PIECE_ROWS: u64 = 5_000;

const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "on"),
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "1h"),
    // It would run during some rounds and not during others.
    ("autovacuum", "off"),
    ("sr_event_writer.streams", "telemetry, netflow"),
];

/// The state of the table's chunks before a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// They do not exist, so the first row of each chunk creates it.
    New,
    /// The chunks of the kept rows exist and are empty.
    Kept,
}

/// The servers, and everything that is the same in all rounds.
pub struct Fixture {
    /// Both servers.
    pub stack: Stack,
    /// A session of the superuser.
    pub session: Client,
    /// A connection to NATS.
    pub context: Context,
    /// The generator of the messages.
    pub generator: Generator,
    /// State of the chunks before each round.
    pub chunks: Chunks,
}

impl Fixture {
    /// Starts both servers, with streams and tables, and with the extension disabled.
    pub async fn start() -> Result<Self, String> {
        Self::with(&[]).await
    }

    /// Like [`Fixture::start`], with additional settings.
    pub async fn with(settings: &[(&str, &str)]) -> Result<Self, String> {
        let mut builder = Stack::builder().disabled();
        for (key, value) in SETTINGS.iter().chain(settings) {
            builder = builder.setting(key, value);
        }
        let stack = builder.try_start().await?;
        Ok(Self {
            session: stack.pg.connect().await,
            context: stack.nats.jetstream().await,
            generator: Generator::new(1),
            chunks: Chunks::New,
            stack,
        })
    }

    /// Runs one statement.
    pub async fn execute(&self, sql: &str) {
        let done = self.session.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    }

    /// Fills the stream with `messages` messages, and removes all others.
    pub async fn fill(&self, feed: Feed, messages: u64) {
        self.empty(feed).await;
        let messages = self.generator.range(feed, 0..messages);
        self.stack.nats.publish_messages(messages).await;
    }

    /// Removes all messages of a stream.
    pub async fn empty(&self, feed: Feed) {
        let stream = self.context.get_stream(feed.stream()).await;
        let stream = stream.expect("look up a stream");
        stream.purge().await.expect("empty a stream");
    }

    /// Prepares the table for a round, and makes a checkpoint so that nothing is left to write to
    /// disk.
    pub async fn prepare(&self, workload: &Workload) {
        let table = workload.feed.table();
        self.execute(&format!("DROP TABLE IF EXISTS {table}")).await;
        self.execute("SELECT sr_event_writer_create_tables(hypertables => true)")
            .await;
        if let Some(key) = workload.key() {
            self.execute(&format!("CREATE UNIQUE INDEX ON {table} ({key})"))
                .await;
        }
        if self.chunks == Chunks::Kept {
            self.copy_in(workload, "all").await;
            self.execute(&format!(
                "DO $$ DECLARE chunk regclass; BEGIN
                     FOR chunk IN SELECT show_chunks('{table}') LOOP
                         EXECUTE format('TRUNCATE %s', chunk);
                     END LOOP;
                 END $$"
            ))
            .await;
        }
        if workload.duplicates {
            self.copy_in(workload, "fifth").await;
        }
        self.execute("CHECKPOINT").await;
    }

    /// Keeps the rows of the table in files for [`Fixture::copy_in`]: all rows, every fifth, all
    /// but these, halves, and pieces. They are in the order of their messages, by the number that
    /// each row contains.
    pub async fn keep_rows(&self, workload: &Workload, messages: u64) {
        let fifth = workload.every_fifth();
        let marker = workload.feed.marker_column();
        let half = messages / 2;
        let mut parts = vec![
            ("all".to_owned(), "true".to_owned()),
            ("fifth".to_owned(), fifth.clone()),
            ("rest".to_owned(), format!("NOT ({fifth})")),
            ("first".to_owned(), format!("{marker} < {half}")),
            ("second".to_owned(), format!("{marker} >= {half}")),
        ];
        parts.extend((0..messages.div_ceil(PIECE_ROWS)).map(|piece| {
            let (from, to) = (piece * PIECE_ROWS, (piece + 1) * PIECE_ROWS);
            (
                piece.to_string(),
                format!("{marker} >= {from} AND {marker} < {to}"),
            )
        }));
        let index = format!(
            "CREATE INDEX kept_rows ON {} ({marker})",
            workload.feed.table()
        );
        self.execute(&index).await;
        for (part, condition) in parts {
            let (columns, table) = (workload.columns(), workload.feed.table());
            let rows = format!("SELECT {columns} FROM {table} WHERE {condition} ORDER BY {marker}");
            let file = self.file(workload, &part);
            self.execute(&format!("COPY ({rows}) TO '{file}' (FORMAT binary)"))
                .await;
        }
    }

    /// Copies kept rows into the table, with one binary COPY on the server.
    pub async fn copy_in(&self, workload: &Workload, part: &str) {
        self.execute(&self.copy_in_statement(workload, part)).await;
    }

    /// Returns the statement of [`Fixture::copy_in`].
    pub fn copy_in_statement(&self, workload: &Workload, part: &str) -> String {
        let (columns, table) = (workload.columns(), workload.feed.table());
        let file = self.file(workload, part);
        format!("COPY {table} ({columns}) FROM '{file}' (FORMAT binary)")
    }

    /// Returns the path of a file below the data directory, where the server may write.
    fn file(&self, workload: &Workload, part: &str) -> String {
        let name = format!("bench-{}-{part}", workload.feed.name());
        self.stack.pg.data().join(name).display().to_string()
    }

    /// Deletes a consumer, if it exists.
    pub async fn forget_consumer(&self, feed: Feed, consumer: &str) {
        let stream = self.context.get_stream(feed.stream()).await;
        // In most cases it does not exist.
        let _ = stream
            .expect("look up a stream")
            .delete_consumer(consumer)
            .await;
    }

    /// Returns the number of messages that these pipelines have recorded since the server started.
    pub async fn recorded(&self, pipelines: &[&str]) -> Result<i64, String> {
        let sql = "SELECT COALESCE(sum(messages_total), 0)::bigint
            FROM sr_event_writer.stream_status WHERE name = ANY ($1)";
        let row = self.session.query_one(sql, &[&pipelines]).await;
        Ok(row.map_err(|error| format!("{error:?}"))?.get(0))
    }

    /// Waits until these pipelines have recorded `total` messages since the server started, and
    /// then flushes the WAL. The consumer does not show this: on a stream with limits, NATS counts
    /// a message as acknowledged when it is sent.
    pub async fn recorded_and_flushed(&self, pipelines: &[&str], total: i64) -> Result<(), String> {
        let deadline = Instant::now() + ROUND;
        while self.recorded(pipelines).await? < total {
            if Instant::now() > deadline {
                return Err(format!("{pipelines:?} did not end within {ROUND:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.flush().await
    }

    /// Flushes the WAL up to its end. Without this, asynchronous commits are flushed only after up
    /// to three sleeps of the WAL writer, 200 ms each, while nothing else happens. Waiting for them
    /// would measure the sleep, whose share is larger in a short round. The flush itself is
    /// counted.
    pub async fn flush(&self) -> Result<(), String> {
        let sql = "SELECT pg_logical_emit_message(false, 'bench', '', flush => true)";
        let done = self.session.batch_execute(sql).await;
        done.map_err(|error| format!("{error:?}"))
    }

    /// Waits until the consumer has acknowledged all of its messages in the stream.
    pub async fn drained(&self, feed: Feed, consumer: &str) -> Result<(), String> {
        let stream = self.context.get_stream(feed.stream()).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let deadline = Instant::now() + ROUND;
        loop {
            // It does not exist until its owner has created it.
            if let Ok(info) = stream.consumer_info(consumer).await
                && info.delivered.stream_sequence > 0
                && (info.num_pending, info.num_ack_pending) == (0, 0)
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{consumer} did not end within {ROUND:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Checks that the table has as many rows as there are messages.
    pub async fn check(&self, workload: &Workload, messages: u64) {
        let table = workload.feed.table();
        let rows: i64 = self
            .stack
            .pg
            .value(&format!("SELECT count(*) FROM {table}"))
            .await;
        assert_eq!(rows, messages as i64, "rows in {table}");
    }

    /// Returns a hash over all values of all rows.
    pub async fn fingerprint(&self, workload: &Workload) -> String {
        let (columns, table) = (workload.columns(), workload.feed.table());
        let sql = format!(
            "SELECT sum(hashtextextended(ROW({columns})::text, 0)::numeric)::text FROM {table}"
        );
        self.stack.pg.value(&sql).await
    }

    /// Makes the extension forget its position in the stream. The extension must be disabled.
    pub async fn forget_position(&self, feed: Feed) {
        let pg = &self.stack.pg;
        wait::eventually(SOON, "the extension is off", async || {
            let status = self.stack.status().await.map_err(|e| e.to_string())?;
            match status["state"].as_str() {
                Some("disabled") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        // Other positions stay: their pipelines would read their streams again meanwhile.
        let pipeline = feed.name();
        self.execute(&format!(
            "DELETE FROM sr_event_writer.stream_position WHERE pipeline = '{pipeline}'"
        ))
        .await;
        self.forget_consumer(feed, &feed.consumer()).await;
        // The worker also has the position in memory.
        let before = pg.worker_pid().await;
        self.execute(&format!("SELECT pg_terminate_backend({before})"))
            .await;
        wait::eventually(SOON, "a new worker", async || {
            match pg.try_worker_pid().await {
                Ok(Some(pid)) if pid != before => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}
