//! Faults of the database server and of its background worker.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;

use super::super::databases::RECOVERY_TIMEOUT;
use super::super::load::Load;
use super::super::servers::{Servers, last, retention};
use super::Outcome;
use crate::feed::Feed;
use crate::postgres::Stop;
use crate::random::Random;
use crate::wait::eventually;

/// Messages to publish between a backup and its restore.
const AFTER: u64 = 50;

/// Returns a time between a third of a second and two seconds.
pub(super) fn a_while(random: &mut Random) -> Duration {
    Duration::from_millis(300 + random.below(1_700))
}

/// Returns the feeds whose streams drop acknowledged messages.
fn dropping() -> impl Iterator<Item = Feed> {
    let feeds = Feed::ALL.into_iter();
    feeds.filter(|feed| retention(*feed) != RetentionPolicy::Limits)
}

impl Servers {
    /// Kills the worker while fetched messages wait for a lock. They would be lost if they were
    /// already acknowledged.
    pub(super) async fn kill_worker_in_lock(&self) {
        let tables: Vec<_> = dropping().map(Feed::table).collect();
        let tables = tables.join(", ");
        let lock = format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE");
        let session = eventually(RECOVERY_TIMEOUT, "the tables are locked", async || {
            let primary = self.primary();
            let session = primary.try_connect("postgres", "postgres").await?;
            session.batch_execute(&lock).await?;
            Ok::<_, crate::postgres::Failure>(session)
        })
        .await;
        let waiting = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE NOT l.granted AND a.application_name = 'sr_event_writer'";
        eventually(
            RECOVERY_TIMEOUT,
            "the worker waits for a lock",
            async || {
                self.primary()
                    .try_value::<bool>(waiting)
                    .await
                    .unwrap_or(false)
            },
        )
        .await;
        self.primary().kill_worker().await;
        drop(session);
    }

    /// Lets a trigger crash the process at one message, each time that it is written.
    pub(super) async fn crashing_message(&self, load: &Load) {
        let (feed, table) = (Feed::OtelTraces, Feed::OtelTraces.table());
        let hold = load.hold(feed).await;
        // It must not become a dead letter for another reason.
        let number = load.next_number(feed).next_multiple_of(97) + 1;
        load.will_crash(feed, number);
        self.databases
            .lastingly(&format!(
                "CREATE OR REPLACE FUNCTION soak_crash() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -SEGV ' || pg_backend_pid());
                 RETURN NEW;
             END $$;
             DROP TRIGGER IF EXISTS soak_crash ON {table};
             CREATE TRIGGER soak_crash BEFORE INSERT ON {table} FOR EACH ROW
             WHEN (NEW.span_id = '{number:016x}') EXECUTE FUNCTION soak_crash()"
            ))
            .await;
        drop(hold);
        let name = feed.name();
        let kept = format!(
            "SELECT count(*) FROM sr_event_writer.dead_letter WHERE stream = '{name}'
             AND split_part(headers -> 'Nats-Msg-Id' ->> 0, ' ', 2) = '{number}'"
        );
        eventually(
            RECOVERY_TIMEOUT,
            "the crashing message is set aside",
            async || match self.primary().try_value::<i64>(&kept).await {
                Ok(0) => Err("not yet".to_owned()),
                Ok(_) => Ok(()),
                Err(failure) => Err(failure.to_string()),
            },
        )
        .await;
        // A server that takes over without the dead letter would make a row of the message.
        self.databases.standby_has_all().await;
        self.databases
            .lastingly(&format!("DROP TRIGGER IF EXISTS soak_crash ON {table}"))
            .await;
    }

    pub(super) async fn signal_worker(&self, function: &str) {
        let sql = format!(
            "SELECT count({function}(pid)) > 0 FROM pg_stat_activity
             WHERE application_name = 'sr_event_writer'"
        );
        eventually(RECOVERY_TIMEOUT, "a worker is signalled", async || {
            self.primary()
                .try_value::<bool>(&sql)
                .await
                .unwrap_or(false)
        })
        .await;
    }

    pub(super) async fn stop_immediately(&self) {
        self.primary().stop(Stop::Immediate).await;
        self.primary().start().await;
    }

    pub(super) async fn kill_server(&self) {
        self.primary().kill_all().await;
        self.primary().start().await;
    }

    /// Cuts the power of the primary: everything that was not flushed to the WAL is lost. The
    /// standby may have it, so it is created again.
    pub(super) async fn lose_power(&self) {
        self.primary().lose_power().await;
        self.primary().start().await;
        self.databases.new_standby().await;
    }

    /// Kills the primary. The standby takes over, and gets a new standby.
    pub(super) async fn fail_over(&self) {
        self.primary().kill_all().await;
        let next = self.standby();
        next.promote().await;
        self.databases.set_primary(next);
        self.databases.new_standby().await;
    }

    /// Ends the worker, and waits for the next one.
    pub(super) async fn restart_worker(&self) -> Outcome {
        let workers = "SELECT coalesce(array_agg(pid ORDER BY pid), '{}') FROM pg_stat_activity
            WHERE application_name = 'sr_event_writer'";
        let before: Vec<i32> = self.value(workers).await;
        self.execute_until_done("SELECT sr_event_writer_restart()")
            .await;
        self.strikes("no worker came", async || {
            let now = self.primary().try_value::<Vec<i32>>(workers).await;
            now.is_ok_and(|now| now.iter().any(|pid| !before.contains(pid)))
        })
        .await
    }

    /// Replaces the primary by a backup. Messages that a stream drops when they are acknowledged
    /// after the backup would be lost, so meanwhile only streams that keep everything get messages.
    pub(super) async fn restore_backup(&self, load: &Load) {
        let mut quiet = Vec::new();
        for feed in dropping() {
            quiet.push(load.hold(feed).await);
            self.has_recorded(feed).await;
        }
        let backup = self.primary().create_base_backup().await;
        let kept = Feed::Logs;
        let before = load.next_number(kept);
        eventually(
            RECOVERY_TIMEOUT,
            "messages come after the backup",
            async || load.next_number(kept) >= before + AFTER,
        )
        .await;
        quiet.push(load.hold(kept).await);
        self.has_recorded(kept).await;
        self.primary().kill_all().await;
        backup.start().await;
        self.databases.set_primary(Arc::new(backup));
        self.databases.new_standby().await;
    }

    /// Takes the standby away for a while, so that acknowledgements have to wait.
    pub(super) async fn standby_away(&self, random: &mut Random) {
        self.standby().stop(Stop::Fast).await;
        last(a_while(random)).await;
        self.standby().start().await;
    }
}
