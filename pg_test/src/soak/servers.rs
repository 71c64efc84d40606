//! The servers of a run: a primary with its synchronous standby, a cluster of three NATS servers,
//! and a proxy in front of each NATS server.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use futures_util::future::join_all;

use super::databases::{self, Databases, RECOVERY_TIMEOUT};
use super::load::REFUSING;
use crate::feed::Feed;
use crate::nats::{Access, Cluster};
use crate::postgres::{Failure, Options, Postgres};
use crate::proxy::Proxy;
use crate::recorded;
use crate::stack::drop_unique_keys;
use crate::wait::{eventually, try_eventually};

/// Timeout for everything that is pending after the last fault.
const CATCH_UP: Duration = Duration::from_secs(240);

/// Settings with short delays, so that a run contains many recoveries.
const SETTINGS: [(&str, &str); 11] = [
    ("sr_event_writer.ack_after", "replicated"),
    ("sr_event_writer.retry_min_delay", "100ms"),
    ("sr_event_writer.retry_max_delay", "1s"),
    ("sr_event_writer.breaker_reset", "1s"),
    ("sr_event_writer.insert_timeout", "5s"),
    ("sr_event_writer.enabled", "on"),
    ("synchronous_standby_names", "*"),
    // The run's own statements must not wait for a standby that a fault has taken away.
    ("synchronous_commit", "local"),
    ("wal_keep_size", "1GB"),
    ("restart_after_crash", "on"),
    ("log_min_messages", "warning"),
];

/// Tables that keep data of the dropped extension during the run.
pub(super) const KEPT: &str = "
    CREATE TABLE soak_letter AS TABLE sr_event_writer.dead_letter WITH NO DATA;
    CREATE TABLE soak_gap AS TABLE sr_event_writer.stream_gap WITH NO DATA";

/// The servers. A fault may replace the database servers while another one is in progress.
pub struct Servers {
    pub(super) databases: Databases,
    pub(super) cluster: Cluster,
    pub(super) proxies: Vec<Proxy>,
}

/// Returns the retention policy of a feed's stream.
pub(super) fn retention(feed: Feed) -> RetentionPolicy {
    match feed {
        Feed::Sweep | Feed::Netflow => RetentionPolicy::WorkQueue,
        Feed::OtelMetrics => RetentionPolicy::Interest,
        _ => RetentionPolicy::Limits,
    }
}

/// Waits for this time while a fault is in effect.
pub(super) async fn last(span: Duration) {
    tokio::time::sleep(span).await;
}

impl Servers {
    pub(super) async fn start(settings: &[(String, String)]) -> Self {
        let cluster = Cluster::start().await;
        let proxies = cluster.servers().iter();
        let proxies = join_all(proxies.map(|server| Proxy::start(server.port()))).await;
        let urls: Vec<String> = proxies.iter().map(Proxy::url).collect();
        let own = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut options = Options::default();
        options.settings.extend(own);
        let url = ("sr_event_writer.nats_url".to_owned(), urls.join(","));
        options.settings.push(url);
        options.settings.extend_from_slice(settings);
        let primary = Postgres::create(options);
        primary.start().await;
        for feed in Feed::ALL {
            make_stream(&cluster, feed).await;
        }
        primary
            .execute("CREATE EXTENSION timescaledb; CREATE EXTENSION sr_event_writer")
            .await;
        primary
            .execute("SELECT sr_event_writer_create_tables()")
            .await;
        // A message that is written twice must be two rows.
        drop_unique_keys(&primary).await.expect("drop unique keys");
        primary.execute(KEPT).await;
        for (feed, constraint) in REFUSING {
            let sql = format!("ALTER TABLE {} ADD {constraint}", feed.table());
            primary.execute(&sql).await;
        }
        let standby = primary.create_standby("standby").await;
        standby.start().await;
        let servers = Self {
            databases: Databases::new(primary, standby),
            cluster,
            proxies,
        };
        // An interest stream keeps nothing before it has its consumer.
        servers.is_consuming().await;
        servers
    }

    pub(super) fn access(&self) -> &Access {
        self.cluster.access()
    }

    /// Returns the database server that accepts writes now.
    pub(super) fn primary(&self) -> Arc<Postgres> {
        self.databases.primary()
    }

    /// Returns the database server that takes over after a failure.
    pub(super) fn standby(&self) -> Arc<Postgres> {
        self.databases.standby()
    }

    /// Returns everything that helps to find an error.
    pub(super) async fn log(&self) -> String {
        let mut text = self.standby().log() + &self.primary().log();
        for table in [
            "sr_event_writer.stream_position",
            "sr_event_writer.stream_gap",
            "soak_gap",
        ] {
            let sql = format!("SELECT to_jsonb(t)::text FROM {table} t");
            for row in self.primary().query(&sql, &[]).await {
                text += &format!("{table}: {}\n", row.get::<_, String>(0));
            }
        }
        text
    }

    /// Waits until every pipeline reads its stream.
    pub(super) async fn is_consuming(&self) {
        let sql = "SELECT string_agg(name || ' ' || state || ' ' || coalesce(detail, ''), ', ')
            FROM sr_event_writer.stream_status WHERE state <> 'running'";
        eventually(RECOVERY_TIMEOUT, "all pipelines run", async || {
            match self.primary().try_value::<Option<String>>(sql).await {
                Ok(None) => Ok(()),
                Ok(Some(others)) => Err(others),
                Err(failure) => Err(failure.to_string()),
            }
        })
        .await;
    }

    /// Waits until messages of every stream have become rows.
    pub(super) async fn is_writing(&self) {
        for table in Feed::ALL.map(Feed::table) {
            let sql = format!("SELECT count(*) > 0 FROM {table}");
            eventually(
                RECOVERY_TIMEOUT,
                format_args!("rows in {table}"),
                async || {
                    self.primary()
                        .try_value::<bool>(&sql)
                        .await
                        .unwrap_or(false)
                },
            )
            .await;
        }
    }

    /// Runs statements on the primary, and retries them until they succeed.
    pub(super) async fn execute_until_done(&self, sql: &str) {
        eventually(RECOVERY_TIMEOUT, sql, async || {
            self.primary().try_execute(sql).await
        })
        .await;
    }

    /// Returns the first column of the first row, as soon as the primary answers.
    pub(super) async fn value<T: tokio_postgres::types::FromSqlOwned>(&self, sql: &str) -> T {
        eventually(RECOVERY_TIMEOUT, sql, async || {
            self.primary().try_value(sql).await
        })
        .await
    }

    /// Waits until the primary and its standby have recorded all of a stream.
    pub(super) async fn has_recorded(&self, feed: Feed) {
        eventually(RECOVERY_TIMEOUT, "everything is recorded", async || {
            let primary = self.primary();
            recorded::everything(&primary, &self.cluster, feed).await?;
            databases::is_replicated(&primary).await
        })
        .await;
    }

    /// Ends all faults, so that the writer only needs time to catch up.
    pub(super) async fn heal(&self) {
        self.proxies.iter().for_each(Proxy::heal);
        for server in self.cluster.servers() {
            if !server.is_running() {
                server.start().await;
            }
        }
    }

    /// Waits until everything is recorded and acknowledged. Returns what is still pending at the
    /// timeout.
    pub(super) async fn catch_up(&self) -> String {
        let what = "everything is recorded and acknowledged";
        let done = try_eventually(CATCH_UP, what, async || self.behind().await);
        done.await.err().unwrap_or_default()
    }

    async fn behind(&self) -> Result<(), String> {
        for feed in Feed::ALL {
            let (stream, consumer) = (feed.stream(), feed.consumer());
            let info = self.cluster.consumer(&stream, &consumer).await?;
            if (info.num_pending, info.num_ack_pending) != (0, 0) {
                let (waiting, unacknowledged) = (info.num_pending, info.num_ack_pending);
                let status = self.status(feed).await.map_err(|f| f.to_string())?;
                return Err(format!(
                    "{stream}: {waiting} waiting, {unacknowledged} unacknowledged; {status}"
                ));
            }
            recorded::everything(&self.primary(), &self.cluster, feed).await?;
        }
        Ok(())
    }

    async fn status(&self, feed: Feed) -> Result<String, Failure> {
        let name = feed.name();
        let sql = "SELECT to_jsonb(s)::text FROM sr_event_writer.stream_status s WHERE name";
        self.primary().try_value(&format!("{sql} = '{name}'")).await
    }
}

/// Creates the stream of a feed, on all three servers.
pub(super) async fn make_stream(cluster: &Cluster, feed: Feed) {
    let (stream, subjects) = (feed.stream(), feed.subjects());
    cluster
        .create_stream(&stream, &[&subjects], retention(feed))
        .await;
}
