//! Sessions of the server, and shortcuts to run one statement.
//!
//! Functions named `try_…` return an error, for use while faults are inflicted; the others panic.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Config, NoTls, Row};

use super::Postgres;

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

const OPTIONS: &str = "-c statement_timeout=120s -c lock_timeout=0 -c transaction_timeout=0 -c role=none \
    -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed";

/// An error of the server, or of the connection to it.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// SQLSTATE; `None` if the connection failed.
    pub code: Option<SqlState>,
    /// The primary message.
    pub message: String,
    /// DETAIL, or empty.
    pub detail: String,
    /// HINT, or empty.
    pub hint: String,
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = &self.code {
            write!(f, " ({})", code.code())?;
        }
        for (label, text) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if !text.is_empty() {
                write!(f, "; {label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let cause = error
                .source()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            return Self {
                message: format!("{error}{cause}"),
                ..Self::default()
            };
        };
        Self {
            code: Some(db.code().clone()),
            message: db.message().to_owned(),
            detail: db.detail().unwrap_or_default().to_owned(),
            hint: db.hint().unwrap_or_default().to_owned(),
        }
    }
}

impl Postgres {
    /// Opens a session of the superuser in database `postgres`.
    pub async fn connect(&self) -> Client {
        self.connect_as("postgres", "postgres").await
    }

    /// Opens a session of `user` in `database`; panics on failure.
    pub async fn connect_as(&self, user: &str, database: &str) -> Client {
        let client = self.try_connect(user, database).await;
        client.unwrap_or_else(|failure| panic!("connect to {database} as {user}: {failure}"))
    }

    /// Opens a session of `user` in `database`. Its statements have a timeout of two minutes, and
    /// it ignores settings that tests make for the role or the database to disturb the worker.
    pub async fn try_connect(&self, user: &str, database: &str) -> Result<Client, Failure> {
        let (client, connection) = Config::new()
            .host("127.0.0.1")
            .port(self.port())
            .user(user)
            .dbname(database)
            .application_name("pg_test")
            .options(OPTIONS)
            .connect(NoTls)
            .await?;
        // The client reports the error to whoever uses it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    /// Runs statements, separated by semicolons, in database `postgres`.
    pub async fn execute(&self, sql: &str) {
        self.try_execute(sql)
            .await
            .unwrap_or_else(|failure| panic!("{failure}\n{sql}"));
    }

    /// Like [`Postgres::execute`], but returns errors.
    pub async fn try_execute(&self, sql: &str) -> Result<(), Failure> {
        let mut slot = self.session.lock().await;
        let client = self.take_session(&mut slot).await?;
        let result = client.batch_execute(sql).await;
        put_back(&mut slot, client);
        Ok(result?)
    }

    /// Runs statements that must fail, and returns the error.
    pub async fn refused(&self, sql: &str) -> Failure {
        match self.try_execute(sql).await {
            Ok(()) => panic!("this was expected to be refused, but was done: {sql}"),
            Err(failure) => failure,
        }
    }

    /// Returns the rows of a query.
    pub async fn query(&self, sql: &str, parameters: Parameters<'_>) -> Vec<Row> {
        let rows = self.try_query(sql, parameters).await;
        rows.unwrap_or_else(|failure| panic!("{failure}\n{sql}"))
    }

    /// Like [`Postgres::query`], but returns errors.
    pub async fn try_query(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let mut slot = self.session.lock().await;
        let client = self.take_session(&mut slot).await?;
        let result = client.query(sql, parameters).await;
        put_back(&mut slot, client);
        Ok(result?)
    }

    /// Returns the only row of a query.
    pub async fn query_one(&self, sql: &str, parameters: Parameters<'_>) -> Row {
        let mut rows = self.query(sql, parameters).await;
        assert_eq!(rows.len(), 1, "expected one row: {sql}");
        rows.remove(0)
    }

    /// Returns the first column of the first row.
    pub async fn value<T: FromSqlOwned>(&self, sql: &str) -> T {
        self.try_value(sql)
            .await
            .unwrap_or_else(|failure| panic!("{failure}\n{sql}"))
    }

    /// Like [`Postgres::value`], but returns errors.
    pub async fn try_value<T: FromSqlOwned>(&self, sql: &str) -> Result<T, Failure> {
        let rows = self.try_query(sql, &[]).await?;
        let row = rows.first().ok_or_else(|| Failure::from_text("no row"))?;
        Ok(row.try_get(0)?)
    }

    /// Runs `ALTER SYSTEM SET`, and reloads the settings.
    pub async fn alter_system(&self, key: &str, value: &str) {
        self.try_alter_system(key, value)
            .await
            .unwrap_or_else(|e| panic!("{key} = {value}: {e}"));
        self.reload().await;
    }

    /// Runs `ALTER SYSTEM SET` only.
    pub async fn try_alter_system(&self, key: &str, value: &str) -> Result<(), Failure> {
        let value = value.replace('\'', "''");
        self.try_execute(&format!("ALTER SYSTEM SET {key} = '{value}'"))
            .await
    }

    /// Makes every process read the settings again.
    pub async fn reload(&self) {
        self.execute("SELECT pg_reload_conf()").await;
    }

    /// Returns the process id of the first background worker, if it is visible.
    pub async fn try_worker_pid(&self) -> Result<Option<i32>, Failure> {
        let sql =
            "SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'sr_event_writer'";
        self.try_value(sql).await
    }

    /// Waits for the first background worker, and returns its process id.
    pub async fn worker_pid(&self) -> i32 {
        let within = std::time::Duration::from_secs(30);
        crate::wait::eventually(within, "the background worker", async || {
            self.try_worker_pid().await.ok().flatten()
        })
        .await
    }

    /// Closes the session that the functions above share.
    pub(super) async fn forget_session(&self) {
        *self.session.lock().await = None;
    }

    async fn take_session(&self, slot: &mut Option<Client>) -> Result<Client, Failure> {
        match slot.take() {
            Some(client) if !client.is_closed() => Ok(client),
            _ => self.try_connect("postgres", "postgres").await,
        }
    }
}

/// Keeps a session for the next statement, unless it is broken.
fn put_back(slot: &mut Option<Client>, client: Client) {
    if !client.is_closed() {
        *slot = Some(client);
    }
}

impl Failure {
    fn from_text(message: &str) -> Self {
        Self {
            message: message.to_owned(),
            ..Self::default()
        }
    }

    /// Returns the SQLSTATE, or an empty string.
    pub fn sqlstate(&self) -> &str {
        self.code.as_ref().map_or("", SqlState::code)
    }
}
