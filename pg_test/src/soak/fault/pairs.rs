//! Decides which faults may be inflicted at the same time.

use super::Fault;

/// The area of a fault. Two faults of the same area would interfere with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Realm {
    /// The database server.
    Server,
    /// Actions of other users in the database.
    Database,
    /// The network between worker and NATS.
    Network,
    /// The NATS servers.
    Nats,
    /// Actions of others on the streams.
    Streams,
}

impl Fault {
    fn realm(self) -> Realm {
        match self {
            Self::KillWorker
            | Self::KillWorkerInLock
            | Self::CrashingMessage
            | Self::TerminateWorker
            | Self::CancelWorker
            | Self::RestartWorker
            | Self::RestartServer
            | Self::StopImmediately
            | Self::KillServer
            | Self::LosePower
            | Self::FailOver
            | Self::StandbyAway
            | Self::RestoreBackup => Realm::Server,
            Self::LockTables
            | Self::SickTable
            | Self::RenameTable
            | Self::HeldTable
            | Self::RewriteTables
            | Self::ReadOnly
            | Self::TimeLimits
            | Self::NoConnections
            | Self::SettingsStorm
            | Self::PauseAndResume
            | Self::SeekBack
            | Self::RecreateExtension
            | Self::DropOtherDatabase => Realm::Database,
            Self::CutConnections
            | Self::CutInAMessage
            | Self::Blackhole
            | Self::LoseDeliveries
            | Self::LosePulls
            | Self::SlowLink => Realm::Network,
            Self::RestartNats
            | Self::KillNats
            | Self::KillAllNats
            | Self::FreezeLeader
            | Self::LameDuck
            | Self::StepDownStream
            | Self::StepDownConsumer
            | Self::SetBack => Realm::Nats,
            Self::DeleteConsumer
            | Self::EditConsumer
            | Self::ResetConsumer
            | Self::DeleteMessages
            | Self::PurgeMessages
            | Self::RecreateStream
            | Self::UnreadableMessage
            | Self::HeaderFlood => Realm::Streams,
        }
    }

    /// Returns whether both may be inflicted at the same time.
    pub fn goes_with(self, other: Self) -> bool {
        self.realm() != other.realm() && self.bears(other) && other.bears(self)
    }

    fn bears(self, other: Self) -> bool {
        match self {
            // It compares several states before and after the restore.
            Self::RestoreBackup => false,
            // A worker that starts meanwhile has no position.
            Self::RecreateExtension => other.realm() == Realm::Network,
            // They need connections, and no locks of others.
            Self::KillWorkerInLock | Self::LosePower | Self::FailOver => {
                other.realm() != Realm::Database
            }
            // The message must be delivered, and must stay in the stream.
            Self::CrashingMessage => other.realm() != Realm::Streams && other != Self::SetBack,
            // Messages that are removed meanwhile would come back.
            Self::SetBack => other.realm() != Realm::Streams,
            _ => true,
        }
    }
}
