//! Faults of the database server and of its background worker.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;

use super::super::ground::{Ground, PATIENCE, last, retention};
use super::super::load::Load;
use super::Outcome;
use crate::feed::Feed;
use crate::postgres::Stop;
use crate::random::Random;
use crate::wait::eventually;

/// Messages that are to come between a backup and its restore.
const AFTER: u64 = 50;

/// From a third of a second to two.
pub(super) fn a_while(random: &mut Random) -> Duration {
    Duration::from_millis(300 + random.below(1_700))
}

/// Those whose streams drop what is acknowledged.
fn dropping() -> impl Iterator<Item = Feed> {
    let feeds = Feed::ALL.into_iter();
    feeds.filter(|feed| retention(*feed) != RetentionPolicy::Limits)
}

impl Ground {
    /// Messages that were fetched wait for a lock when the process is killed: those that would be
    /// lost if they were acknowledged already.
    pub(super) async fn kill_worker_in_lock(&self) {
        let tables: Vec<_> = dropping().map(Feed::table).collect();
        let tables = tables.join(", ");
        let lock = format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE");
        let session = eventually(PATIENCE, "the tables are locked", async || {
            let primary = self.primary();
            let session = primary.try_connect("postgres", "postgres").await?;
            session.batch_execute(&lock).await?;
            Ok::<_, crate::postgres::Failure>(session)
        })
        .await;
        let waiting = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE NOT l.granted AND a.application_name = 'sr_event_writer'";
        eventually(PATIENCE, "the worker waits for a lock", async || {
            self.primary()
                .try_value::<bool>(waiting)
                .await
                .unwrap_or(false)
        })
        .await;
        self.primary().kill_worker().await;
        drop(session);
    }

    /// A trigger crashes the process at one message, as often as that is tried.
    pub(super) async fn crashing_message(&self, load: &Load) {
        let (feed, table) = (Feed::OtelTraces, Feed::OtelTraces.table());
        let hold = load.hold(feed).await;
        // Not one that is a dead letter anyway.
        let number = load.next_number(feed).next_multiple_of(97) + 1;
        load.will_crash(feed, number);
        self.lastingly(&format!(
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
            PATIENCE,
            "the crashing message is set aside",
            async || match self.primary().try_value::<i64>(&kept).await {
                Ok(0) => Err("not yet".to_owned()),
                Ok(_) => Ok(()),
                Err(failure) => Err(failure.to_string()),
            },
        )
        .await;
        // A server that took over without its dead letter would make a row of it.
        self.standby_has_all().await;
        self.lastingly(&format!("DROP TRIGGER IF EXISTS soak_crash ON {table}"))
            .await;
    }

    pub(super) async fn signal_worker(&self, function: &str) {
        let sql = format!(
            "SELECT count({function}(pid)) > 0 FROM pg_stat_activity
             WHERE application_name = 'sr_event_writer'"
        );
        eventually(PATIENCE, "a worker is signalled", async || {
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

    /// Everything that was not flushed to the WAL is lost. The standby may have it, so it is
    /// created again.
    pub(super) async fn lose_power(&self) {
        self.primary().lose_power().await;
        self.primary().start().await;
        self.new_standby().await;
    }

    /// The primary dies, the standby takes over, and gets a new standby.
    pub(super) async fn fail_over(&self) {
        self.primary().kill_all().await;
        let next = self.standby();
        next.promote().await;
        self.set_primary(next);
        self.new_standby().await;
    }

    /// The worker is told to end, and another one comes.
    pub(super) async fn restart_worker(&self) -> Outcome {
        let workers = "SELECT coalesce(array_agg(pid ORDER BY pid), '{}') FROM pg_stat_activity
            WHERE application_name = 'sr_event_writer'";
        let before: Vec<i32> = self.value(workers).await;
        self.surely("SELECT sr_event_writer_restart()").await;
        self.strikes("no worker came", async || {
            let now = self.primary().try_value::<Vec<i32>>(workers).await;
            now.is_ok_and(|now| now.iter().any(|pid| !before.contains(pid)))
        })
        .await
    }

    /// A backup takes the place of the primary. What an acknowledgement has removed after the
    /// backup would be gone for good, so only streams that keep everything get messages meanwhile.
    pub(super) async fn restore_backup(&self, load: &Load) {
        let mut quiet = Vec::new();
        for feed in dropping() {
            quiet.push(load.hold(feed).await);
            self.has_recorded(feed).await;
        }
        let backup = self.primary().create_base_backup().await;
        let kept = Feed::Logs;
        let before = load.next_number(kept);
        eventually(PATIENCE, "messages come after the backup", async || {
            load.next_number(kept) >= before + AFTER
        })
        .await;
        quiet.push(load.hold(kept).await);
        self.has_recorded(kept).await;
        self.primary().kill_all().await;
        backup.start().await;
        self.set_primary(Arc::new(backup));
        self.new_standby().await;
    }

    /// Acknowledgements have to wait.
    pub(super) async fn standby_away(&self, random: &mut Random) {
        self.standby().stop(Stop::Fast).await;
        last(a_while(random)).await;
        self.standby().start().await;
    }
}
