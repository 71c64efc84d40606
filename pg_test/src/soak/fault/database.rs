//! Faults of the database server, and of what others do in it.

use std::time::Duration;

use super::super::ground::{Ground, PATIENCE, last, retention};
use super::super::load::Load;
use crate::feed::Feed;
use crate::postgres::Stop;
use crate::random::Random;
use crate::wait::eventually;
use async_nats::jetstream::stream::RetentionPolicy;

/// The message that crashes whoever writes it is so many messages ahead.
const AHEAD: u64 = 60;

/// From a third of a second to two.
fn a_while(random: &mut Random) -> Duration {
    Duration::from_millis(300 + random.below(1_700))
}

fn tables() -> String {
    Feed::ALL.map(Feed::table).join(", ")
}

/// Those whose streams drop what is acknowledged.
fn tables_of_dropping_streams() -> String {
    let feeds = Feed::ALL.into_iter();
    let feeds = feeds.filter(|feed| retention(*feed) != RetentionPolicy::Limits);
    feeds.map(Feed::table).collect::<Vec<_>>().join(", ")
}

impl Ground {
    /// Messages that were fetched wait for a lock when the process is killed: those that would be lost
    /// if they were acknowledged already.
    pub(super) async fn kill_worker_in_lock(&self) {
        let tables = tables_of_dropping_streams();
        let lock = format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE");
        let session = eventually(PATIENCE, "the tables are locked", async || {
            let session = self.primary.try_connect("postgres", "postgres").await?;
            session.batch_execute(&lock).await?;
            Ok::<_, crate::postgres::Failure>(session)
        })
        .await;
        let waiting = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE NOT l.granted AND a.application_name = 'sr_event_writer'";
        eventually(PATIENCE, "the worker waits for a lock", async || {
            self.primary
                .try_value::<bool>(waiting)
                .await
                .unwrap_or(false)
        })
        .await;
        self.primary.kill_worker().await;
        drop(session);
    }

    /// A trigger crashes the process at one message, as often as that is tried.
    pub(super) async fn crashing_message(&self, load: &Load) {
        let feed = Feed::OtelTraces;
        // Not one that is a dead letter anyway.
        let number = (load.next_number(feed) + AHEAD).next_multiple_of(97) + 1;
        load.will_crash(feed, number);
        self.surely(&format!(
            "CREATE OR REPLACE FUNCTION soak_crash() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -SEGV ' || pg_backend_pid());
                 RETURN NEW;
             END $$;
             DROP TRIGGER IF EXISTS soak_crash ON {table};
             CREATE TRIGGER soak_crash BEFORE INSERT ON {table} FOR EACH ROW
             WHEN (NEW.span_id = '{number:016x}') EXECUTE FUNCTION soak_crash()",
            table = feed.table()
        ))
        .await;
        let name = feed.name();
        let kept = format!(
            "SELECT count(*) FROM sr_event_writer.dead_letter WHERE stream = '{name}'
             AND split_part(headers -> 'Nats-Msg-Id' ->> 0, ' ', 2) = '{number}'"
        );
        eventually(
            PATIENCE,
            "the crashing message is set aside",
            async || match self.primary.try_value::<i64>(&kept).await {
                Ok(0) => Err("not yet".to_owned()),
                Ok(_) => Ok(()),
                Err(failure) => Err(failure.to_string()),
            },
        )
        .await;
        self.surely(&format!(
            "DROP TRIGGER IF EXISTS soak_crash ON {}",
            feed.table()
        ))
        .await;
    }

    pub(super) async fn signal_worker(&self, function: &str) {
        let sql = format!(
            "SELECT count({function}(pid)) > 0 FROM pg_stat_activity
             WHERE application_name = 'sr_event_writer'"
        );
        eventually(PATIENCE, "a worker is signalled", async || {
            self.primary.try_value::<bool>(&sql).await.unwrap_or(false)
        })
        .await;
    }

    pub(super) async fn stop_immediately(&self) {
        self.primary.stop(Stop::Immediate).await;
        self.primary.start().await;
    }

    pub(super) async fn kill_server(&self) {
        self.primary.kill_all().await;
        self.primary.start().await;
    }

    /// What the log was not flushed for is gone. The standby may have it, so it is made anew.
    pub(super) async fn lose_power(&mut self) {
        self.primary.lose_power().await;
        self.primary.start().await;
        self.new_standby().await;
    }

    /// The primary dies, the standby takes over, and gets a new standby.
    pub(super) async fn fail_over(&mut self) {
        self.primary.kill_all().await;
        self.standby.promote().await;
        std::mem::swap(&mut self.primary, &mut self.standby);
        self.new_standby().await;
    }

    async fn new_standby(&mut self) {
        self.standby.kill_all().await;
        self.standby = self.primary.create_standby("standby").await;
        self.standby.start().await;
    }

    /// Acknowledgements have to wait.
    pub(super) async fn standby_away(&self, random: &mut Random) {
        self.standby.stop(Stop::Fast).await;
        last(a_while(random)).await;
        self.standby.start().await;
    }

    pub(super) async fn lock_tables(&self, random: &mut Random) {
        let span = a_while(random).as_secs_f32();
        self.surely(&format!(
            "BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({span}); COMMIT",
            tables()
        ))
        .await;
    }

    /// The disk of one table is full, for all that its rows can tell.
    pub(super) async fn sick_table(&self, feed: Feed, random: &mut Random) {
        let table = feed.table();
        self.surely(&format!(
            "CREATE OR REPLACE FUNCTION soak_full() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;
             DROP TRIGGER IF EXISTS soak_full ON {table};
             CREATE TRIGGER soak_full BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION soak_full()"
        ))
        .await;
        last(a_while(random)).await;
        self.surely(&format!("DROP TRIGGER IF EXISTS soak_full ON {table}"))
            .await;
    }

    pub(super) async fn rename_table(&self, feed: Feed, random: &mut Random) {
        let table = feed.table();
        self.surely(&format!(
            "ALTER TABLE IF EXISTS {table} RENAME TO soak_away"
        ))
        .await;
        last(a_while(random)).await;
        self.surely(&format!(
            "ALTER TABLE IF EXISTS soak_away RENAME TO {table}"
        ))
        .await;
    }

    pub(super) async fn rewrite_tables(&self) {
        for table in Feed::ALL.map(Feed::table) {
            self.surely(&format!("VACUUM (FULL, ANALYZE) {table}"))
                .await;
        }
    }

    pub(super) async fn read_only(&self, random: &mut Random) {
        let setting = "default_transaction_read_only";
        self.surely(&format!("ALTER DATABASE postgres SET {setting} = on"))
            .await;
        self.signal_worker("pg_terminate_backend").await;
        last(a_while(random)).await;
        self.surely(&format!(
            "SET {setting} = off; ALTER DATABASE postgres RESET {setting}"
        ))
        .await;
    }

    pub(super) async fn time_limits(&self, random: &mut Random) {
        let limits = ["statement_timeout", "lock_timeout", "transaction_timeout"];
        for limit in limits {
            self.surely(&format!("ALTER ROLE postgres SET {limit} = '1ms'"))
                .await;
        }
        self.signal_worker("pg_terminate_backend").await;
        last(a_while(random)).await;
        for limit in limits {
            self.surely(&format!("ALTER ROLE postgres RESET {limit}"))
                .await;
        }
    }

    /// All connections are taken while the worker has to make one.
    pub(super) async fn no_connections(&self, random: &mut Random) {
        let mut taken = Vec::new();
        while let Ok(session) = self.primary.try_connect("postgres", "postgres").await {
            taken.push(session);
        }
        if let Some(session) = taken.first() {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'sr_event_writer'";
            // The server may be on its way down from an earlier fault.
            let _ = session.batch_execute(sql).await;
        }
        last(a_while(random)).await;
    }

    /// Consuming starts over at each change.
    pub(super) async fn settings_storm(&self, random: &mut Random) {
        for _ in 0..5 {
            let size = 10 + random.below(400);
            self.surely(&format!(
                "ALTER SYSTEM SET sr_event_writer.max_batch_rows = {size}"
            ))
            .await;
            self.surely("SELECT pg_reload_conf()").await;
            last(Duration::from_millis(random.below(200))).await;
        }
        self.surely("ALTER SYSTEM RESET sr_event_writer.max_batch_rows")
            .await;
        self.surely("SELECT pg_reload_conf()").await;
    }

    pub(super) async fn pause_and_resume(&self, random: &mut Random) {
        self.surely("SELECT sr_event_writer_pause()").await;
        last(a_while(random)).await;
        self.surely("SELECT sr_event_writer_resume()").await;
    }

    /// Nothing that is recorded is written again.
    pub(super) async fn seek_back(&self, feed: Feed) {
        let name = feed.name();
        self.surely(&format!("SELECT sr_event_writer_pause('{name}')"))
            .await;
        self.surely(&format!("SELECT sr_event_writer_seek('{name}', 1)"))
            .await;
        self.surely(&format!("SELECT sr_event_writer_resume('{name}')"))
            .await;
    }

    /// The extension is dropped and created under load. Its dead letters and gaps are put aside for
    /// the account; the position is not, since the worker remembers it once it has started.
    pub(super) async fn extension_anew(&self) {
        self.is_consuming().await;
        self.surely(
            "BEGIN;
             LOCK TABLE sr_event_writer.dead_letter, sr_event_writer.stream_gap,
                 sr_event_writer.stream_position IN ACCESS EXCLUSIVE MODE;
             INSERT INTO soak_letter TABLE sr_event_writer.dead_letter;
             INSERT INTO soak_gap TABLE sr_event_writer.stream_gap;
             DROP EXTENSION sr_event_writer;
             CREATE EXTENSION sr_event_writer;
             COMMIT",
        )
        .await;
        let recorded = "SELECT count(*) FROM sr_event_writer.stream_position";
        eventually(
            PATIENCE,
            "all positions are recorded again",
            async || match self.primary.try_value::<i64>(recorded).await {
                Ok(recorded) if recorded >= Feed::ALL.len() as i64 => Ok(()),
                Ok(recorded) => Err(format!("{recorded}")),
                Err(failure) => Err(failure.to_string()),
            },
        )
        .await;
    }

    pub(super) async fn drop_other_database(&self) {
        self.surely("DROP DATABASE IF EXISTS soak_other").await;
        self.surely("CREATE DATABASE soak_other").await;
        self.surely("DROP DATABASE soak_other").await;
    }
}
