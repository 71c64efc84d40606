//! Both servers together: NATS with the seven streams, PostgreSQL with the extension and the
//! tables.

mod builder;

use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use serde_json::Value;

pub use self::builder::{Builder, drop_unique_keys};
use crate::feed::Feed;
use crate::nats::{Access, Nats};
use crate::postgres::{Failure, Postgres, tail};
use crate::recorded;
use crate::wait;

/// Timeout of short operations: a batch, a reload, a reconnect after a backoff.
pub const SOON: Duration = Duration::from_secs(30);

/// Timeout for a pipeline to write the messages that it has fetched.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// Starts a stack with everything enabled.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Returns the builder of a stack, from which things can be left out.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Creates the seven streams, unless they exist.
    pub async fn create_streams(&self) {
        for feed in Feed::ALL {
            self.create_stream(feed).await;
        }
    }

    /// Creates one of the streams, which keeps everything.
    pub async fn create_stream(&self, feed: Feed) {
        self.create_stream_keeping(feed, RetentionPolicy::Limits)
            .await;
    }

    /// Creates one of the streams with a retention policy.
    pub async fn create_stream_keeping(&self, feed: Feed, retention: RetentionPolicy) {
        self.jetstream
            .create_stream_keeping(&feed.stream(), &[&feed.subjects()], retention)
            .await;
    }

    /// Runs `CREATE EXTENSION`, unless the extension exists.
    pub async fn try_create_extension(&self) -> Result<(), Failure> {
        self.pg
            .try_execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            .await?;
        self.pg
            .try_execute("CREATE EXTENSION IF NOT EXISTS sr_event_writer")
            .await
    }

    /// Creates the destinations, unless they exist.
    pub async fn try_create_tables(&self, hypertables: bool) -> Result<(), Failure> {
        let sql = format!("SELECT sr_event_writer_create_tables(hypertables => {hypertables})");
        self.pg.try_execute(&sql).await
    }

    /// Enables the writer.
    pub async fn enable(&self) {
        self.pg.alter_system("sr_event_writer.enabled", "on").await;
    }

    /// Disables the writer, and waits until it has stopped reading.
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

    /// Returns the number of rows in the destination.
    pub async fn rows(&self, feed: Feed) -> Result<i64, Failure> {
        self.pg
            .try_value(&format!("SELECT count(*) FROM {}", feed.table()))
            .await
    }

    /// Returns the number of dead letters of the stream.
    pub async fn dead_letters(&self, feed: Feed) -> Result<i64, Failure> {
        let name = feed.name();
        let sql = "SELECT count(*) FROM sr_event_writer.dead_letter WHERE lower(stream)";
        self.pg.try_value(&format!("{sql} = '{name}'")).await
    }

    /// Waits until the destination has `count` rows, and then checks that no two of them come from
    /// the same message.
    ///
    /// The destination may contain only messages of [`crate::messages::Generator::good`].
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
        // A second copy may follow shortly after the first one.
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

    /// Waits a moment until no fetched message is pending, if the database can be queried. A
    /// pipeline that cannot write still has some, which is no error.
    async fn settle(&self, feed: Feed) {
        let idle = async || match self.stream_status(feed).await {
            Ok(status) => status["pending"] == 0,
            Err(_) => true,
        };
        // A timeout is no error either.
        let _ = wait::try_eventually(SETTLE_TIMEOUT, "nothing waits", idle).await;
    }

    /// Waits until every message that the stream has ever stored is recorded and, on streams with
    /// acknowledgements, acknowledged.
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

    /// Returns the result of `sr_event_writer_status()`.
    pub async fn status(&self) -> Result<Value, Failure> {
        self.pg.try_value("SELECT sr_event_writer_status()").await
    }

    /// Returns the row of the feed's pipeline in `sr_event_writer.stream_status`, as an object.
    pub async fn stream_status(&self, feed: Feed) -> Result<Value, Failure> {
        self.pipeline_status(feed.name()).await
    }

    /// Returns the row of the pipeline `name` in `sr_event_writer.stream_status`, as an object.
    pub async fn pipeline_status(&self, name: &str) -> Result<Value, Failure> {
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
