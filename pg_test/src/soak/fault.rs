//! All faults. Each ends on its own or is undone. Recovery from its effects is up to the writer.

mod consumers;
mod database;
mod messages;
mod network;
mod pairs;
mod server;
mod streams;

use std::time::Duration;

use super::load::Load;
use super::servers::Servers;
use crate::feed::Feed;
use crate::random::Random;
use crate::wait::try_eventually;

/// Longest time that a fault waits for something to act on.
const STRIKES: Duration = Duration::from_secs(10);

/// The result of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The fault had an effect.
    Hit,
    /// It found nothing to act on, so it does not count. Contains what was missing.
    Missed(&'static str),
}

impl Outcome {
    /// Returns a hit if both are hits.
    pub(super) fn and(self, other: Self) -> Self {
        match self {
            Self::Hit => other,
            Self::Missed(_) => self,
        }
    }
}

impl Servers {
    /// Waits until the fault has had an effect. Otherwise it is a miss, with the reason `missed`.
    pub(super) async fn strikes(
        &self,
        missed: &'static str,
        look: impl AsyncFn() -> bool,
    ) -> Outcome {
        match try_eventually(STRIKES, missed, look).await {
            Ok(()) => Outcome::Hit,
            Err(_) => Outcome::Missed(missed),
        }
    }
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    missing_docs,
    reason = "the names say it, and what is done stands at `inflict`"
)]
pub enum Fault {
    // Faults of the database server.
    KillWorker,
    KillWorkerInLock,
    CrashingMessage,
    TerminateWorker,
    CancelWorker,
    RestartWorker,
    RestartServer,
    StopImmediately,
    KillServer,
    LosePower,
    FailOver,
    StandbyAway,
    RestoreBackup,
    // Actions of other users in the database.
    LockTables,
    SickTable,
    RenameTable,
    HeldTable,
    RewriteTables,
    ReadOnly,
    TimeLimits,
    NoConnections,
    SettingsStorm,
    PauseAndResume,
    SeekBack,
    RecreateExtension,
    DropOtherDatabase,
    // Faults of the network between worker and NATS.
    CutConnections,
    CutInAMessage,
    Blackhole,
    LoseDeliveries,
    LosePulls,
    SlowLink,
    // Faults of the NATS servers.
    RestartNats,
    KillNats,
    KillAllNats,
    FreezeLeader,
    LameDuck,
    StepDownStream,
    StepDownConsumer,
    SetBack,
    // Actions of others on the streams.
    DeleteConsumer,
    EditConsumer,
    ResetConsumer,
    DeleteMessages,
    PurgeMessages,
    RecreateStream,
    UnreadableMessage,
    HeaderFlood,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 48] = [
        Self::KillWorker,
        Self::KillWorkerInLock,
        Self::CrashingMessage,
        Self::TerminateWorker,
        Self::CancelWorker,
        Self::RestartWorker,
        Self::RestartServer,
        Self::StopImmediately,
        Self::KillServer,
        Self::LosePower,
        Self::FailOver,
        Self::StandbyAway,
        Self::RestoreBackup,
        Self::LockTables,
        Self::SickTable,
        Self::RenameTable,
        Self::HeldTable,
        Self::RewriteTables,
        Self::ReadOnly,
        Self::TimeLimits,
        Self::NoConnections,
        Self::SettingsStorm,
        Self::PauseAndResume,
        Self::SeekBack,
        Self::RecreateExtension,
        Self::DropOtherDatabase,
        Self::CutConnections,
        Self::CutInAMessage,
        Self::Blackhole,
        Self::LoseDeliveries,
        Self::LosePulls,
        Self::SlowLink,
        Self::RestartNats,
        Self::KillNats,
        Self::KillAllNats,
        Self::FreezeLeader,
        Self::LameDuck,
        Self::StepDownStream,
        Self::StepDownConsumer,
        Self::SetBack,
        Self::DeleteConsumer,
        Self::EditConsumer,
        Self::ResetConsumer,
        Self::DeleteMessages,
        Self::PurgeMessages,
        Self::RecreateStream,
        Self::UnreadableMessage,
        Self::HeaderFlood,
    ];

    /// Inflicts the fault, and returns its result.
    pub(super) async fn inflict(
        self,
        servers: &Servers,
        load: &Load,
        random: &mut Random,
    ) -> Outcome {
        let feed = *random.pick(&Feed::ALL);
        match self {
            Self::RestartWorker => servers.restart_worker().await,
            Self::SickTable => servers.sick_table(feed).await,
            Self::RenameTable => servers.rename_table(feed).await,
            Self::HeldTable => servers.held_table(feed, random).await,
            Self::NoConnections => servers.no_connections(random).await,
            Self::CutConnections => servers.cut_connections().await,
            Self::CutInAMessage => servers.cut_in_a_message(random).await,
            Self::Blackhole => servers.blackhole(random).await,
            Self::LoseDeliveries => servers.lose_deliveries(random).await,
            Self::LosePulls => servers.lose_pulls(random).await,
            Self::SlowLink => servers.slow_link(random).await,
            Self::DeleteConsumer => servers.delete_consumer(random).await,
            Self::ResetConsumer => servers.reset_consumer(feed, random).await,
            Self::DeleteMessages => servers.delete_messages(load, feed).await,
            Self::PurgeMessages => servers.purge_messages(load, feed).await,
            _ => {
                self.inflict_certain(feed, servers, load, random).await;
                Outcome::Hit
            }
        }
    }

    /// Inflicts a fault that always has an effect.
    async fn inflict_certain(
        self,
        feed: Feed,
        servers: &Servers,
        load: &Load,
        random: &mut Random,
    ) {
        match self {
            Self::KillWorker => servers.primary().kill_worker().await,
            Self::KillWorkerInLock => servers.kill_worker_in_lock().await,
            Self::CrashingMessage => servers.crashing_message(load).await,
            Self::TerminateWorker => servers.signal_worker("pg_terminate_backend").await,
            Self::CancelWorker => servers.signal_worker("pg_cancel_backend").await,
            Self::RestartServer => servers.primary().restart().await,
            Self::StopImmediately => servers.stop_immediately().await,
            Self::KillServer => servers.kill_server().await,
            Self::LosePower => servers.lose_power().await,
            Self::FailOver => servers.fail_over().await,
            Self::StandbyAway => servers.standby_away(random).await,
            Self::RestoreBackup => servers.restore_backup(load).await,
            Self::LockTables => servers.lock_tables(random).await,
            Self::RewriteTables => servers.rewrite_tables().await,
            Self::ReadOnly => servers.read_only(random).await,
            Self::TimeLimits => servers.time_limits(random).await,
            Self::SettingsStorm => servers.settings_storm(random).await,
            Self::PauseAndResume => servers.pause_and_resume(random).await,
            Self::SeekBack => servers.seek_back(feed).await,
            Self::RecreateExtension => servers.recreate_extension().await,
            Self::DropOtherDatabase => servers.drop_other_database().await,
            Self::RestartNats => servers.any_nats(random).restart().await,
            Self::KillNats => servers.kill_nats(random).await,
            Self::KillAllNats => servers.kill_all_nats().await,
            Self::FreezeLeader => servers.freeze_leader(feed, random).await,
            Self::LameDuck => servers.lame_duck(random).await,
            Self::StepDownStream => servers.cluster.step_down_stream(&feed.stream()).await,
            Self::StepDownConsumer => servers.step_down_consumer(feed).await,
            Self::SetBack => servers.set_back(load).await,
            Self::EditConsumer => servers.edit_consumer(feed, random).await,
            Self::RecreateStream => servers.recreate_stream(load, random).await,
            Self::UnreadableMessage => servers.unreadable_message(load, feed, random).await,
            Self::HeaderFlood => servers.header_flood(load, feed).await,
            other => unreachable!("{other:?} tells what it struck"),
        }
    }
}
