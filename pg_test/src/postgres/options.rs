//! Options of a cluster, and the ways to stop it.

use std::path::PathBuf;

use crate::port::Port;
use crate::process::{Lifetime, Signal};

/// Options of a cluster. Start from [`Options::default`].
#[derive(Debug)]
pub struct Options {
    /// `shared_preload_libraries`.
    pub preload: String,
    /// Additional settings, as in postgresql.conf, without quotes. If one occurs twice, the last
    /// wins.
    pub settings: Vec<(String, String)>,
    /// Permanent directory, instead of a temporary one.
    pub home: Option<PathBuf>,
    /// Port, instead of a free one.
    pub port: Option<Port>,
    /// Lifetime of the server if nobody stops it.
    pub lifetime: Lifetime,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preload: "timescaledb,sr_event_writer".to_owned(),
            settings: Vec::new(),
            home: None,
            port: None,
            lifetime: Lifetime::Tied(Signal::SIGQUIT),
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
