//! Which parts of a stack are started, and with which options.

use crate::feed::Feed;
use crate::nats::{self, Access, Cluster, Nats};
use crate::postgres::{self, Failure, Postgres, tail};

use super::Stack;

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

impl Default for Builder {
    fn default() -> Self {
        Self {
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
}

impl Builder {
    /// Adds a setting to postgresql.conf.
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.postgres
            .settings
            .push((key.to_owned(), value.to_owned()));
        self
    }

    /// Changes the options of the PostgreSQL server, to which this builder adds settings.
    pub fn postgres(mut self, change: impl FnOnce(&mut postgres::Options)) -> Self {
        change(&mut self.postgres);
        self
    }

    /// Changes the options of the NATS server.
    pub fn nats(mut self, change: impl FnOnce(&mut nats::Options)) -> Self {
        change(&mut self.nats);
        self
    }

    /// Makes the writer connect to this address, such as a proxy, instead of to the NATS server.
    pub fn nats_url(mut self, url: &str) -> Self {
        self.nats_url = Some(url.to_owned());
        self
    }

    /// Makes the writer read from a cluster. [`Stack::nats`] is not started.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some(cluster.access().clone());
        self.nats_running = false;
        self.nats_url(&cluster.urls())
    }

    /// Does not create the streams.
    pub fn without_streams(mut self) -> Self {
        self.streams = false;
        self
    }

    /// Does not start NATS, so there are no streams.
    pub fn without_nats(mut self) -> Self {
        self.nats_running = false;
        self.without_streams()
    }

    /// Loads the extension but does not create it, so its tables do not exist.
    pub fn without_extension(mut self) -> Self {
        self.extension = false;
        self.without_tables()
    }

    /// Does not create the destinations.
    pub fn without_tables(mut self) -> Self {
        self.tables = false;
        self
    }

    /// Creates the destinations as plain tables.
    pub fn plain_tables(mut self) -> Self {
        self.hypertables = false;
        self
    }

    /// Creates the destinations without unique keys, which would hide a row that is written twice.
    pub fn without_keys(mut self) -> Self {
        self.keys = false;
        self
    }

    /// Leaves `sr_event_writer.enabled` off.
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// Sets `sr_event_writer.database`. A database other than `postgres` does not exist yet.
    pub fn database(mut self, name: &str) -> Self {
        name.clone_into(&mut self.database);
        self.without_extension()
    }

    /// Starts both servers; panics on failure.
    pub async fn start(self) -> Stack {
        self.try_start()
            .await
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Like [`Builder::start`], but returns the reason and the end of a log on failure.
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

/// Drops every unique key of the destinations, so that a second copy of a message is a second row.
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
