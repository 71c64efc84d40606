//! Options of a cluster, and the ways to stop it.

use crate::placement::Placement;
use crate::process::Signal;

/// Options of a cluster. Start from [`Options::default`].
#[derive(Debug)]
pub struct Options {
    /// `shared_preload_libraries`.
    pub preload: String,
    /// Additional settings, as in postgresql.conf, without quotes. If one occurs twice, the last
    /// wins.
    pub settings: Vec<(String, String)>,
    /// Directory, port and lifetime.
    pub placement: Placement,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preload: "timescaledb,sr_event_writer".to_owned(),
            settings: Vec::new(),
            placement: Placement::temporary(Signal::SIGQUIT),
        }
    }
}

/// Modes of `pg_ctl stop -m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Waits until all sessions have ended on their own; refuses new ones.
    Smart,
    /// Ends all sessions, rolls back their transactions, and makes a checkpoint.
    Fast,
    /// Ends all processes at once; the next start recovers.
    Immediate,
}
