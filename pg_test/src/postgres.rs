//! One PostgreSQL cluster. It is copied from a template in a fraction of a second, and can be
//! started, stopped and killed.
//!
//! It listens on loopback TCP only, and trusts everyone. By default it runs without fsync: a killed
//! process loses nothing by that, only a machine that fails would.

mod installation;
mod options;
mod power;
mod session;
mod small_disk;
mod standby;
mod template;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

pub use self::installation::Installation;
pub use self::options::{Options, Stop};
pub use self::session::Failure;
pub use self::small_disk::SmallDisk;
use crate::directory::{self, Directory};
use crate::port::Port;
use crate::process::{self, Lifetime, Process, Signal};
use crate::wait;

/// Timeout of a start. The longest one is crash recovery after a kill with much unflushed WAL.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A cluster. Dropping it stops the server, unless it is detached, and removes a temporary
/// directory.
#[derive(Debug)]
pub struct Postgres {
    installation: Installation,
    port: Port,
    lifetime: Lifetime,
    process: Mutex<Option<Process>>,
    session: tokio::sync::Mutex<Option<Client>>,
    // Last field, so that it is dropped after everything else.
    directory: Directory,
}

impl Postgres {
    /// Creates a cluster, or takes the one in its permanent directory. It is not started.
    pub fn create(options: Options) -> Self {
        let installation = Installation::choose();
        let placement = options.placement;
        let directory = placement.directory("postgres");
        let cluster = Self {
            installation,
            port: placement.port.unwrap_or_else(Port::reserve),
            lifetime: placement.lifetime,
            process: Mutex::new(None),
            session: tokio::sync::Mutex::new(None),
            directory,
        };
        if !cluster.data().join("PG_VERSION").exists() {
            template::copy(&cluster.installation, &cluster.data());
        }
        cluster.configure(&options.preload, &options.settings);
        cluster
    }

    /// Returns the data directory of a cluster that another process has created at `home`.
    pub fn data_at(home: &Path) -> PathBuf {
        home.join("data")
    }

    /// Returns its data directory.
    pub fn data(&self) -> PathBuf {
        Self::data_at(self.directory.path())
    }

    /// Returns the path of the server log.
    pub fn log_path(&self) -> PathBuf {
        self.directory.path().join("postgres.log")
    }

    /// Returns the content of the server log.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns whether the server log contains `text`.
    pub fn log_contains(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Returns the major version.
    pub fn major(&self) -> u32 {
        self.installation.major()
    }

    /// Starts the server, and waits until it accepts connections.
    pub async fn start(&self) {
        self.try_start()
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Like [`Postgres::start`], but returns the end of the server log on failure.
    pub async fn try_start(&self) -> Result<(), String> {
        let mut command = self.installation.command("postgres");
        command.arg("-D").arg(self.data());
        let process = Process::spawn(command, &self.log_path(), self.lifetime)
            .map_err(|error| format!("cannot run {:?}: {error}", self.installation))?;
        *self.process() = Some(process);
        let answer =
            wait::try_eventually(START_WITHIN, "PostgreSQL takes connections", async || {
                if !self.is_running() {
                    return Ok(Err("PostgreSQL did not start".to_owned()));
                }
                self.try_connect("postgres", "postgres")
                    .await
                    .map(|_| Ok(()))
            });
        let started = answer.await.unwrap_or_else(Err);
        started.map_err(|why| {
            let log = self.log();
            format!("{why}{}\n{}", self.installation.hint(&log), tail(&log, 25))
        })
    }

    /// Stops the server as `pg_ctl stop` does, and returns how long that took.
    pub async fn stop(&self, mode: Stop) -> Duration {
        if mode == Stop::Smart {
            self.forget_session().await;
        }
        let began = Instant::now();
        self.installation
            .stop(&self.data(), mode)
            .await
            .unwrap_or_else(|why| panic!("{why}"));
        let took = began.elapsed();
        let process = self.process().take();
        if let Some(mut process) = process {
            process.ended(Duration::from_secs(10)).await;
        }
        self.forget_session().await;
        took
    }

    /// Stops and starts the server.
    pub async fn restart(&self) {
        self.stop(Stop::Fast).await;
        self.start().await;
    }

    /// Kills the server and every process of it with SIGKILL, as a power failure would.
    pub async fn kill_all(&self) {
        self.kill_everything();
        self.forget_session().await;
    }

    /// Kills the first background worker of the extension with SIGKILL, and waits until it is gone.
    ///
    /// The postmaster reacts by ending all sessions and recovering.
    pub async fn kill_worker(&self) {
        let within = Duration::from_secs(30);
        let pid = wait::eventually(within, "a background worker to kill", async || {
            self.try_worker_pid().await.ok().flatten()
        })
        .await;
        process::kill(pid, Signal::SIGKILL);
        wait::eventually(within, "the killed worker is gone", async || {
            !process::alive(pid)
        })
        .await;
    }

    /// Returns whether the server that this object started is running.
    pub fn is_running(&self) -> bool {
        self.process()
            .as_mut()
            .is_some_and(|process| process.status().is_none())
    }

    /// Returns the process id of the postmaster; panics if it is not running.
    pub fn postmaster_pid(&self) -> i32 {
        self.process().as_ref().expect("a running server").pid()
    }

    /// Replaces the settings given at creation, from the next start on.
    pub fn configure(&self, preload: &str, settings: &[(String, String)]) {
        let mut text = String::new();
        let own = [
            ("port", self.port().to_string()),
            ("shared_preload_libraries", preload.to_owned()),
        ];
        let given = settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()));
        for (key, value) in own.into_iter().chain(given) {
            writeln!(text, "{key} = '{}'", value.replace('\'', "''")).expect("write to a string");
        }
        let path = self.data().join("settings.conf");
        fs::write(&path, text).expect("write settings.conf");
        self.installation.give(&path);
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill_everything(&self) {
        let Some(mut postmaster) = self.process().take() else {
            return;
        };
        // A stopped postmaster starts no new children while they are listed.
        postmaster.signal(Signal::SIGSTOP);
        wait::blocking(Duration::from_secs(10), || {
            process::stands_still(postmaster.pid())
        });
        let children = process::children(postmaster.pid());
        postmaster.signal(Signal::SIGKILL);
        children
            .iter()
            .for_each(|&pid| process::kill(pid, Signal::SIGKILL));
        let gone = wait::blocking(Duration::from_secs(10), || {
            postmaster.status().is_some() && !children.iter().any(|&pid| process::alive(pid))
        });
        assert!(
            gone,
            "killed PostgreSQL processes are still there: {children:?}"
        );
    }

    fn shut_down(&self) {
        if let Some(process) = &mut *self.process() {
            process.signal(Signal::SIGQUIT);
            process.ended_blocking(Duration::from_secs(10));
        }
        if self.is_running() {
            self.kill_everything();
        }
        self.installation.remove_shared_memory(&self.data());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if matches!(self.lifetime, Lifetime::Tied(_)) {
            self.shut_down();
        }
    }
}

/// Returns the last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Creates the parent of a data directory. The user that PostgreSQL runs as can traverse it.
fn make_parent(data: &Path) {
    directory::create(data.parent().expect("a data directory has a parent"));
}
