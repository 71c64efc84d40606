//! Everything together: NATS with the seven streams, PostgreSQL with the extension and the tables.

use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use serde_json::Value;

use crate::feed::Feed;
use crate::nats::{self, Access, Cluster, Nats};
use crate::postgres::{self, Failure, Postgres, tail};
use crate::recorded;
use crate::wait;

/// Timeout of short operations: a batch, a reload, a reconnect after a backoff.
pub const SOON: Duration = Duration::from_secs(30);

/// Timeout of a pipeline to write what it holds.
const MOMENT: Duration = Duration::from_secs(1);

/// Options of a stack. Start from [`Stack::builder`].
#[derive(Debug)]
pub struct Builder {
    postgres: postgres::Options,
    nats: nats::Options,
    nats_url: Option<String>,
    cluster: Option<Access>,
    database: String,
    streams: bool,
    nats_running: bool,
    extension: bool,
    tables: bool,
    hypertables: bool,
    keys: bool,
    enabled: bool,
}

impl Builder {
    /// One more line of postgresql.conf.
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.postgres
            .settings
            .push((key.to_owned(), value.to_owned()));
        self
    }

    /// Options of the PostgreSQL server, to which this builder adds settings.
    pub fn postgres(mut self, change: impl FnOnce(&mut postgres::Options)) -> Self {
        change(&mut self.postgres);
        self
    }

    /// Options of the NATS server.
    pub fn nats(mut self, change: impl FnOnce(&mut nats::Options)) -> Self {
        change(&mut self.nats);
        self
    }

    /// The writer connects to this address instead of to the NATS server's own: a proxy.
    pub fn nats_url(mut self, url: &str) -> Self {
        self.nats_url = Some(url.to_owned());
        self
    }

    /// The writer reads from a cluster, and [`Stack::nats`] is not started.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some(cluster.access().clone());
        self.nats_running = false;
        self.nats_url(&cluster.urls())
    }

    /// The streams do not exist yet.
    pub fn without_streams(mut self) -> Self {
        self.streams = false;
        self
    }

    /// NATS is not running yet, and so has no streams.
    pub fn without_nats(mut self) -> Self {
        self.nats_running = false;
        self.without_streams()
    }

    /// The extension is loaded but not created, and so there are no tables of it.
    pub fn without_extension(mut self) -> Self {
        self.extension = false;
        self.without_tables()
    }

    /// The destination tables do not exist.
    pub fn without_tables(mut self) -> Self {
        self.tables = false;
        self
    }

    /// The destinations are plain tables.
    pub fn plain_tables(mut self) -> Self {
        self.hypertables = false;
        self
    }

    /// The destinations have no unique keys, which would swallow a row that is written twice.
    pub fn without_keys(mut self) -> Self {
        self.keys = false;
        self
    }

    /// `sr_event_writer.enabled` stays off.
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// `sr_event_writer.database`. When it is not `postgres` it does not exist yet.
    pub fn database(mut self, name: &str) -> Self {
        name.clone_into(&mut self.database);
        self.without_extension()
    }

    /// Starts it all.
    pub async fn start(self) -> Stack {
        self.try_start()
            .await
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// [`Builder::start`]; when that fails, why, with the end of a log.
    pub async fn try_start(mut self) -> Result<Stack, String> {
        let nats = Nats::create(self.nats);
        if self.nats_running {
            nats.try_start().await?;
        }
        let url = self.nats_url.unwrap_or_else(|| nats.url());
        let own = [("nats_url", url), ("database", self.database)];
        let own = own.map(|(key, value)| (format!("sr_event_writer.{key}"), value));
        self.postgres.settings.splice(0..0, own);
        let stack = Stack {
            pg: Postgres::create(self.postgres),
            jetstream: self.cluster.unwrap_or_else(|| nats.access().clone()),
            nats,
        };
        stack.pg.try_start().await?;
        if self.streams {
            stack.create_streams().await;
        }
        let describe = |failure: Failure| format!("{failure}\n{}", tail(&stack.pg.log(), 25));
        if self.extension {
            stack.try_create_extension().await.map_err(describe)?;
        }
        if self.tables {
            stack
                .try_create_tables(self.hypertables)
                .await
                .map_err(describe)?;
        }
        if self.tables && !self.keys {
            drop_unique_keys(&stack.pg).await.map_err(describe)?;
        }
        if self.enabled {
            stack.enable().await;
        }
        Ok(stack)
    }
}

/// Drops every unique key of the destination tables: a second copy of a message is a second row.
pub async fn drop_unique_keys(pg: &Postgres) -> Result<(), Failure> {
    let tables = Feed::ALL.map(Feed::table).join("', '");
    let sql = format!(
        "DO $$ DECLARE drop text; BEGIN
             FOR drop IN
                 SELECT CASE WHEN c.conname IS NULL
                     THEN format('DROP INDEX %s', i.indexrelid::regclass)
                     ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', i.indrelid::regclass, c.conname)
                 END
                 FROM pg_index i LEFT JOIN pg_constraint c
                     ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid
                 WHERE i.indisunique
                     AND i.indrelid = ANY (ARRAY['{tables}']::regclass[])
             LOOP
                 EXECUTE drop;
             END LOOP;
         END $$"
    );
    pg.try_execute(&sql).await
}

/// A running pair of servers.
#[derive(Debug)]
pub struct Stack {
    /// The database server.
    pub pg: Postgres,
    /// The message server.
    pub nats: Nats,
    /// Access to the streams, on that server or in a cluster.
    pub jetstream: Access,
}

impl Stack {
    /// With everything, enabled, ready to use.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// With everything but what is left out.
    pub fn builder() -> Builder {
        Builder {
            postgres: postgres::Options::default(),
            nats: nats::Options::default(),
            nats_url: None,
            cluster: None,
            database: "postgres".to_owned(),
            streams: true,
            nats_running: true,
            extension: true,
            tables: true,
            hypertables: true,
            keys: true,
            enabled: true,
        }
    }

    /// Makes the seven streams, where they are missing.
    pub async fn create_streams(&self) {
        for feed in Feed::ALL {
            self.create_stream(feed).await;
        }
    }

    /// Makes one of them, which keeps everything.
    pub async fn create_stream(&self, feed: Feed) {
        self.create_stream_keeping(feed, RetentionPolicy::Limits)
            .await;
    }

    /// Makes one of them with a retention policy.
    pub async fn create_stream_keeping(&self, feed: Feed, retention: RetentionPolicy) {
        self.jetstream
            .create_stream_keeping(&feed.stream(), &[&feed.subjects()], retention)
            .await;
    }

    /// `CREATE EXTENSION`, where it is missing.
    pub async fn try_create_extension(&self) -> Result<(), Failure> {
        self.pg
            .try_execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            .await?;
        self.pg
            .try_execute("CREATE EXTENSION IF NOT EXISTS sr_event_writer")
            .await
    }

    /// Makes the destination tables, where they are missing.
    pub async fn try_create_tables(&self, hypertables: bool) -> Result<(), Failure> {
        let sql = format!("SELECT sr_event_writer_create_tables(hypertables => {hypertables})");
        self.pg.try_execute(&sql).await
    }

    /// Switches the writer on.
    pub async fn enable(&self) {
        self.pg.alter_system("sr_event_writer.enabled", "on").await;
    }

    /// Switches the writer off, and waits until it has stopped reading.
    pub async fn disable(&self) {
        self.pg.alter_system("sr_event_writer.enabled", "off").await;
        wait::eventually(SOON, "the writer is switched off", async || {
            let status = self.status().await.map_err(|failure| failure.to_string())?;
            match status["state"] == "disabled" {
                true => Ok(()),
                false => Err(status.to_string()),
            }
        })
        .await;
    }

    /// Number of rows in the destination table.
    pub async fn rows(&self, feed: Feed) -> Result<i64, Failure> {
        self.pg
            .try_value(&format!("SELECT count(*) FROM {}", feed.table()))
            .await
    }

    /// Number of dead letters of the stream.
    pub async fn dead_letters(&self, feed: Feed) -> Result<i64, Failure> {
        let name = feed.name();
        let sql = "SELECT count(*) FROM sr_event_writer.dead_letter WHERE lower(stream)";
        self.pg.try_value(&format!("{sql} = '{name}'")).await
    }

    /// Waits until the table has `count` rows; then no two of them may come from one message.
    ///
    /// For messages of [`crate::messages::Generator::good`], and nothing else in the table.
    pub async fn expect_rows(&self, feed: Feed, count: u64, within: Duration) {
        let count = i64::try_from(count).expect("a number of messages");
        let what = format!("rows in {}", feed.table());
        wait::eventually(within, format_args!("{count} {what}"), async || match self
            .rows(feed)
            .await
        {
            Ok(rows) if rows >= count => Ok(()),
            Ok(rows) => Err(format!("{rows} {what}")),
            Err(failure) => Err(failure.to_string()),
        })
        .await;
        self.assert_different(feed, count).await;
        // A second copy may be right behind the first one.
        self.settle(feed).await;
        self.assert_different(feed, count).await;
    }

    async fn assert_different(&self, feed: Feed, count: i64) {
        let (table, marker) = (feed.table(), feed.marker_column());
        let sql = format!("SELECT count(*), count(DISTINCT {marker}) FROM {table}");
        let row = self.pg.query_one(&sql, &[]).await;
        let found: (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(
            found,
            (count, count),
            "rows and different messages in {table}"
        );
    }

    /// Waits a moment until nothing that was fetched waits to be written, where somebody can be
    /// asked that. A pipeline that is held up has something, and that is no fault.
    async fn settle(&self, feed: Feed) {
        let idle = async || match self.stream_status(feed).await {
            Ok(status) => status["pending"] == 0,
            Err(_) => true,
        };
        // The result of a timeout does not matter.
        let _ = wait::try_eventually(MOMENT, "nothing waits", idle).await;
    }

    /// Waits until every message of the stream that was ever stored is recorded and, where that is
    /// done, acknowledged.
    pub async fn expect_all_acknowledged(&self, feed: Feed) {
        let what = format!("everything in {} is acknowledged", feed.stream());
        wait::eventually(SOON, what, async || {
            let consumer = self
                .jetstream
                .consumer(&feed.stream(), &feed.consumer())
                .await?;
            match (consumer.num_pending, consumer.num_ack_pending) {
                (0, 0) => recorded::everything(&self.pg, &self.jetstream, feed).await,
                (waiting, unacknowledged) => Err(format!(
                    "{waiting} waiting, {unacknowledged} unacknowledged"
                )),
            }
        })
        .await;
    }

    /// `sr_event_writer_status()`.
    pub async fn status(&self) -> Result<Value, Failure> {
        self.pg.try_value("SELECT sr_event_writer_status()").await
    }

    /// The pipeline's row of `sr_event_writer.stream_status`, as an object.
    pub async fn stream_status(&self, feed: Feed) -> Result<Value, Failure> {
        let name = feed.name();
        let sql = "SELECT to_jsonb(s) FROM sr_event_writer.stream_status s WHERE name";
        self.pg.try_value(&format!("{sql} = '{name}'")).await
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- end of the PostgreSQL log\n{}",
                tail(&self.pg.log(), 40)
            );
            eprintln!(
                "--- end of the NATS log\n{}\n---",
                tail(&self.nats.log(), 8)
            );
        }
    }
}
