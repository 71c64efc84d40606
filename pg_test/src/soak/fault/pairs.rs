//! Which faults may be inflicted at the same time.

use super::Fault;

/// What a fault is about. Two that are about the same would stand in each other's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Realm {
    /// The database server.
    Server,
    /// What others do in it.
    Database,
    /// The way to the messages.
    Network,
    /// The message servers.
    Nats,
    /// What others do to the streams.
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
            | Self::ExtensionAnew
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
            | Self::StreamAnew
            | Self::UnreadableMessage
            | Self::HeaderFlood => Realm::Streams,
        }
    }

    /// Whether both may be inflicted at the same time.
    pub fn goes_with(self, other: Self) -> bool {
        self.realm() != other.realm() && self.bears(other) && other.bears(self)
    }

    fn bears(self, other: Self) -> bool {
        match self {
            // Takes more than one look at the world as it was.
            Self::RestoreBackup => false,
            // A worker that starts meanwhile has no position.
            Self::ExtensionAnew => other.realm() == Realm::Network,
            // Must have connections, and nobody else's locks.
            Self::KillWorkerInLock | Self::LosePower | Self::FailOver => {
                other.realm() != Realm::Database
            }
            // Its message must come, and stay.
            Self::CrashingMessage => other.realm() != Realm::Streams && other != Self::SetBack,
            // What is removed meanwhile would be back.
            Self::SetBack => other.realm() != Realm::Streams,
            _ => true,
        }
    }
}
