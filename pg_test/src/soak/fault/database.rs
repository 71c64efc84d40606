//! Actions of other users in the database.

use std::time::Duration;

use super::super::databases::RECOVERY_TIMEOUT;
use super::super::servers::{Servers, last};
use super::Outcome;
use super::server::a_while;
use crate::feed::Feed;
use crate::random::Random;
use crate::wait::eventually;

fn tables() -> String {
    Feed::ALL.map(Feed::table).join(", ")
}

impl Servers {
    pub(super) async fn lock_tables(&self, random: &mut Random) {
        let span = a_while(random).as_secs_f32();
        self.execute_until_done(&format!(
            "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({span})",
            tables()
        ))
        .await;
    }

    /// Makes one table fail as if its disk were full.
    pub(super) async fn sick_table(&self, feed: Feed) -> Outcome {
        let table = feed.table();
        let since = self.now().await;
        self.execute_until_done(&format!(
            "CREATE OR REPLACE FUNCTION soak_full() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;
             DROP TRIGGER IF EXISTS soak_full ON {table};
             CREATE TRIGGER soak_full BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION soak_full()"
        ))
        .await;
        let struck = self.has_failed(feed, &since).await;
        self.databases
            .lastingly(&format!("DROP TRIGGER IF EXISTS soak_full ON {table}"))
            .await;
        struck
    }

    pub(super) async fn rename_table(&self, feed: Feed) -> Outcome {
        let (table, since) = (feed.table(), self.now().await);
        self.execute_until_done(&format!(
            "ALTER TABLE IF EXISTS {table} RENAME TO soak_away"
        ))
        .await;
        let struck = self.has_failed(feed, &since).await;
        self.databases
            .lastingly(&format!(
                "ALTER TABLE IF EXISTS soak_away RENAME TO {table}"
            ))
            .await;
        struck
    }

    /// Locks a table and cuts the connections again and again. Each session fetches the messages
    /// again, while those of the last one still wait to be written.
    pub(super) async fn held_table(&self, feed: Feed, random: &mut Random) -> Outcome {
        let lock = format!(
            "BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
            feed.table()
        );
        let session = eventually(RECOVERY_TIMEOUT, "the table is locked", async || {
            let primary = self.primary();
            let session = primary.try_connect("postgres", "postgres").await?;
            session.batch_execute(&lock).await?;
            Ok::<_, crate::postgres::Failure>(session)
        })
        .await;
        let mut outcome = Outcome::Hit;
        for _ in 0..3 {
            outcome = outcome.and(self.cut_connections().await);
            last(a_while(random)).await;
        }
        drop(session);
        outcome
    }

    async fn now(&self) -> String {
        self.value("SELECT now()::text").await
    }

    /// Waits until a pipeline reports a problem.
    async fn has_failed(&self, feed: Feed, since: &str) -> Outcome {
        let name = feed.name();
        let sql = format!(
            "SELECT coalesce(last_error_at >= '{since}', false) OR state NOT IN ('running', 'paused')
             FROM sr_event_writer.stream_status WHERE name = '{name}'"
        );
        self.strikes("the pipeline has not noticed", async || {
            self.primary()
                .try_value::<bool>(&sql)
                .await
                .unwrap_or(false)
        })
        .await
    }

    pub(super) async fn rewrite_tables(&self) {
        for table in Feed::ALL.map(Feed::table) {
            self.execute_until_done(&format!("VACUUM (FULL, ANALYZE) {table}"))
                .await;
        }
    }

    pub(super) async fn read_only(&self, random: &mut Random) {
        let setting = "default_transaction_read_only";
        self.execute_until_done(&format!("ALTER DATABASE postgres SET {setting} = on"))
            .await;
        self.signal_worker("pg_terminate_backend").await;
        last(a_while(random)).await;
        self.databases
            .lastingly(&format!(
                "SET {setting} = off; ALTER DATABASE postgres RESET {setting}"
            ))
            .await;
    }

    pub(super) async fn time_limits(&self, random: &mut Random) {
        let limits = ["statement_timeout", "lock_timeout", "transaction_timeout"];
        for limit in limits {
            self.execute_until_done(&format!("ALTER ROLE postgres SET {limit} = '1ms'"))
                .await;
        }
        self.signal_worker("pg_terminate_backend").await;
        last(a_while(random)).await;
        for limit in limits {
            self.databases
                .lastingly(&format!("ALTER ROLE postgres RESET {limit}"))
                .await;
        }
    }

    /// Takes all connections while the worker needs one.
    pub(super) async fn no_connections(&self, random: &mut Random) -> Outcome {
        let mut taken = Vec::new();
        while let Ok(session) = self.primary().try_connect("postgres", "postgres").await {
            taken.push(session);
        }
        if let Some(session) = taken.first() {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'sr_event_writer'";
            // An earlier fault may be shutting the server down.
            let _ = session.batch_execute(sql).await;
        }
        last(a_while(random)).await;
        match taken.is_empty() {
            true => Outcome::Missed("there was no connection to take"),
            false => Outcome::Hit,
        }
    }

    /// Changes settings repeatedly; all pipelines start again after each change.
    pub(super) async fn settings_storm(&self, random: &mut Random) {
        for _ in 0..5 {
            let size = 10 + random.below(400);
            self.execute_until_done(&format!(
                "ALTER SYSTEM SET sr_event_writer.max_batch_rows = {size}"
            ))
            .await;
            self.execute_until_done("SELECT pg_reload_conf()").await;
            last(Duration::from_millis(random.below(200))).await;
        }
        self.execute_until_done("ALTER SYSTEM RESET sr_event_writer.max_batch_rows")
            .await;
        self.execute_until_done("SELECT pg_reload_conf()").await;
    }

    pub(super) async fn pause_and_resume(&self, random: &mut Random) {
        self.execute_until_done("SELECT sr_event_writer_pause()")
            .await;
        last(a_while(random)).await;
        self.databases
            .lastingly("SELECT sr_event_writer_resume()")
            .await;
    }

    /// Seeks a pipeline back. Nothing that is recorded is written again.
    pub(super) async fn seek_back(&self, feed: Feed) {
        let name = feed.name();
        // In one transaction, because another fault may resume the pipeline.
        self.databases
            .lastingly(&format!(
                "SELECT sr_event_writer_pause('{name}'); SELECT sr_event_writer_seek('{name}', 1);
             SELECT sr_event_writer_resume('{name}')"
            ))
            .await;
    }

    /// Drops and creates the extension under load. Its dead letters and gaps are saved for the
    /// account. The position is not, because the worker has it in memory after its start.
    pub(super) async fn recreate_extension(&self) {
        self.is_consuming().await;
        self.execute_until_done(
            "LOCK TABLE sr_event_writer.dead_letter, sr_event_writer.stream_gap,
                 sr_event_writer.stream_position IN ACCESS EXCLUSIVE MODE;
             INSERT INTO soak_letter TABLE sr_event_writer.dead_letter;
             INSERT INTO soak_gap TABLE sr_event_writer.stream_gap;
             DROP EXTENSION sr_event_writer;
             CREATE EXTENSION sr_event_writer",
        )
        .await;
        let recorded = "SELECT count(*) FROM sr_event_writer.stream_position";
        eventually(
            RECOVERY_TIMEOUT,
            "all positions are recorded again",
            async || match self.primary().try_value::<i64>(recorded).await {
                Ok(recorded) if recorded >= Feed::ALL.len() as i64 => Ok(()),
                Ok(recorded) => Err(format!("{recorded}")),
                Err(failure) => Err(failure.to_string()),
            },
        )
        .await;
        // A standby that takes over has no worker that remembers the positions.
        self.databases.standby_has_all().await;
    }

    pub(super) async fn drop_other_database(&self) {
        self.execute_until_done("DROP DATABASE IF EXISTS soak_other")
            .await;
        self.execute_until_done("CREATE DATABASE soak_other").await;
        self.execute_until_done("DROP DATABASE soak_other").await;
    }
}
