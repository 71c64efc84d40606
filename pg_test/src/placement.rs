//! Where a server runs, and for how long.

use std::path::PathBuf;

use crate::directory::Directory;
use crate::port::Port;
use crate::process::{Lifetime, Signal};

/// Directory, port and lifetime of a server.
#[derive(Debug)]
pub struct Placement {
    /// Permanent directory, instead of a temporary one.
    pub home: Option<PathBuf>,
    /// Port, instead of a free one.
    pub port: Option<Port>,
    /// Lifetime of the server if nobody stops it.
    pub lifetime: Lifetime,
}

impl Placement {
    /// A temporary directory, a free port, and an end by `signal` when this process ends.
    pub(crate) fn temporary(signal: Signal) -> Self {
        Self {
            home: None,
            port: None,
            lifetime: Lifetime::Tied(signal),
        }
    }

    /// A directory that stays, for a server that outlives this process; with the port that it had
    /// before, if it had one.
    pub fn lasting(home: PathBuf, port: Option<Port>) -> Self {
        Self {
            home: Some(home),
            port,
            lifetime: Lifetime::Detached,
        }
    }

    /// Creates the directory, or takes the permanent one. `purpose` is part of the name of a
    /// temporary one.
    pub(crate) fn directory(&self, purpose: &str) -> Directory {
        match &self.home {
            Some(home) => Directory::lasting(home),
            None => Directory::temporary(purpose),
        }
    }
}
