//! What can go wrong. Each fault ends by itself or is taken back; what it leaves behind is the
//! writer's business.

mod database;
mod messages;
mod network;

use super::ground::Ground;
use super::load::Load;
use crate::feed::Feed;
use crate::random::Random;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    missing_docs,
    reason = "the names say it, and what is done stands at `inflict`"
)]
pub enum Fault {
    // The database server.
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
    // What others do in it.
    LockTables,
    SickTable,
    RenameTable,
    RewriteTables,
    ReadOnly,
    TimeLimits,
    NoConnections,
    SettingsStorm,
    PauseAndResume,
    SeekBack,
    ExtensionAnew,
    DropOtherDatabase,
    // The way to the messages.
    CutConnections,
    CutInAMessage,
    Blackhole,
    LoseDeliveries,
    LosePulls,
    SlowLink,
    // The message servers.
    RestartNats,
    KillNats,
    KillAllNats,
    FreezeLeader,
    LameDuck,
    StepDownStream,
    StepDownConsumer,
    // What others do to the streams.
    DeleteConsumer,
    EditConsumer,
    DeleteMessages,
    PurgeMessages,
    StreamAnew,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 42] = [
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
        Self::LockTables,
        Self::SickTable,
        Self::RenameTable,
        Self::RewriteTables,
        Self::ReadOnly,
        Self::TimeLimits,
        Self::NoConnections,
        Self::SettingsStorm,
        Self::PauseAndResume,
        Self::SeekBack,
        Self::ExtensionAnew,
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
        Self::DeleteConsumer,
        Self::EditConsumer,
        Self::DeleteMessages,
        Self::PurgeMessages,
        Self::StreamAnew,
    ];

    pub(super) async fn inflict(self, ground: &mut Ground, load: &Load, random: &mut Random) {
        let feed = *random.pick(&Feed::ALL);
        match self {
            Self::KillWorker => ground.primary.kill_worker().await,
            Self::KillWorkerInLock => ground.kill_worker_in_lock().await,
            Self::CrashingMessage => ground.crashing_message(load).await,
            Self::TerminateWorker => ground.signal_worker("pg_terminate_backend").await,
            Self::CancelWorker => ground.signal_worker("pg_cancel_backend").await,
            Self::RestartWorker => ground.surely("SELECT sr_event_writer_restart()").await,
            Self::RestartServer => ground.primary.restart().await,
            Self::StopImmediately => ground.stop_immediately().await,
            Self::KillServer => ground.kill_server().await,
            Self::LosePower => ground.lose_power().await,
            Self::FailOver => ground.fail_over().await,
            Self::StandbyAway => ground.standby_away(random).await,
            Self::LockTables => ground.lock_tables(random).await,
            Self::SickTable => ground.sick_table(feed, random).await,
            Self::RenameTable => ground.rename_table(feed, random).await,
            Self::RewriteTables => ground.rewrite_tables().await,
            Self::ReadOnly => ground.read_only(random).await,
            Self::TimeLimits => ground.time_limits(random).await,
            Self::NoConnections => ground.no_connections(random).await,
            Self::SettingsStorm => ground.settings_storm(random).await,
            Self::PauseAndResume => ground.pause_and_resume(random).await,
            Self::SeekBack => ground.seek_back(feed).await,
            Self::ExtensionAnew => ground.extension_anew().await,
            Self::DropOtherDatabase => ground.drop_other_database().await,
            Self::CutConnections => ground.cut_connections().await,
            Self::CutInAMessage => ground.cut_in_a_message(random).await,
            Self::Blackhole => ground.blackhole(random).await,
            Self::LoseDeliveries => ground.lose_deliveries(random).await,
            Self::LosePulls => ground.lose_pulls(random).await,
            Self::SlowLink => ground.slow_link(random).await,
            Self::RestartNats => ground.any_nats(random).restart().await,
            Self::KillNats => ground.kill_nats(random).await,
            Self::KillAllNats => ground.kill_all_nats().await,
            Self::FreezeLeader => ground.freeze_leader(feed, random).await,
            Self::LameDuck => ground.lame_duck(random).await,
            Self::StepDownStream => ground.cluster.step_down_stream(&feed.stream()).await,
            Self::StepDownConsumer => ground.step_down_consumer(feed).await,
            Self::DeleteConsumer => ground.delete_consumer(random).await,
            Self::EditConsumer => ground.edit_consumer(feed, random).await,
            Self::DeleteMessages => ground.delete_messages(load, feed).await,
            Self::PurgeMessages => ground.purge_messages(load, feed).await,
            Self::StreamAnew => ground.stream_anew(load, random).await,
        }
    }
}
