//! Options of a server, and which nats-server there are.

use std::path::{Path, PathBuf};

use async_nats::ConnectOptions;

use crate::placement::Placement;
use crate::process::Signal;

/// The server that all tests use unless they choose another one.
pub(super) const PROGRAM: &str = "nats-server";
/// Path of a nats-server in the testbed that is too old for the extension.
const OLD_PROGRAM: &str = "/opt/nats-server-old";
/// File that exists only in the testbed.
const TESTBED: &str = "/etc/sr_event_writer-testbed";

/// Returns the path of a nats-server that is too old, or `None` outside the testbed.
pub fn old_program() -> Option<PathBuf> {
    Path::new(TESTBED)
        .exists()
        .then(|| PathBuf::from(OLD_PROGRAM))
}

/// Options of a server. Start from [`Options::default`].
#[derive(Debug)]
pub struct Options {
    /// Additional lines of its configuration file.
    pub configuration: String,
    /// Path of the program.
    pub program: PathBuf,
    /// JetStream domain.
    pub domain: Option<&'static str>,
    /// Options of the tests' own connections: a login, for example, if the configuration restricts
    /// others. An address with user and password would not do; the client ignores them.
    pub connect: ConnectOptions,
    /// Directory, port and lifetime.
    pub placement: Placement,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            configuration: String::new(),
            program: PathBuf::from(PROGRAM),
            domain: None,
            connect: ConnectOptions::new(),
            placement: Placement::temporary(Signal::SIGKILL),
        }
    }
}
