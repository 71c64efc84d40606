//! One NATS server with JetStream. It can be started, stopped, killed and frozen, and keeps its
//! port and store. Three of them are a [`Cluster`].

mod access;
mod cluster;
mod jwt;
mod options;
mod publish;
mod raw;

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream;

pub use self::access::Access;
use self::access::WITHIN;
pub use self::cluster::Cluster;
pub use self::jwt::{Operator, User};
use self::options::PROGRAM;
pub use self::options::{Options, old_program};
pub use self::raw::RawPublisher;
use crate::directory::Directory;
use crate::port::Port;
use crate::postgres::tail;
use crate::process::{Lifetime, Process, Signal};
use crate::wait;

/// A server. Dropping it kills the process, unless it is detached, and removes a temporary store.
#[derive(Debug)]
pub struct Nats {
    port: Port,
    domain: Option<&'static str>,
    access: Access,
    lifetime: Lifetime,
    program: Mutex<PathBuf>,
    process: Mutex<Option<Process>>,
    // Last field, so that it is dropped after everything else.
    directory: Directory,
}

impl Nats {
    /// Creates a server with an empty store, or with the one in its permanent directory. It is not
    /// started.
    pub fn create(options: Options) -> Self {
        let placement = options.placement;
        let directory = placement.directory("nats");
        let port = placement.port.unwrap_or_else(Port::reserve);
        let server = Self {
            access: Access::new(format!("nats://127.0.0.1:{}", port.number()), 1)
                .with_options(options.connect),
            port,
            domain: options.domain,
            lifetime: placement.lifetime,
            program: Mutex::new(options.program),
            process: Mutex::new(None),
            directory,
        };
        server.configure(&options.configuration);
        server
    }

    /// Replaces the lines of [`Options::configuration`], from the next start on.
    pub fn configure(&self, lines: &str) {
        let domain = self.domain.map(|domain| format!(", domain: {domain}"));
        let domain = domain.unwrap_or_default();
        let text = format!(
            "listen: 127.0.0.1:{}\npid_file: {:?}\njetstream {{ store_dir: {:?}, max_file_store: 20GB{domain} }}\n{lines}",
            self.port(),
            Self::pid_file_at(self.directory.path()),
            self.store(),
        );
        fs::write(self.configuration_path(), text).expect("write nats.conf");
    }

    /// Returns the URL for the writer.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port.number())
    }

    /// Returns the access for a client.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Returns the path of the pid file of a server that another process has created at `home`. Its
    /// command line contains the path of its configuration file, which is also at `home`.
    pub fn pid_file_at(home: &Path) -> PathBuf {
        home.join("nats.pid")
    }

    /// Returns the content of its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Starts it, and waits until JetStream answers.
    pub async fn start(&self) {
        self.try_start()
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Like [`Nats::start`], but returns the end of the log on failure.
    pub async fn try_start(&self) -> Result<(), String> {
        let program = locked(&self.program).clone();
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(self.configuration_path())
            .current_dir("/");
        let process = Process::spawn(command, &self.log_path(), self.lifetime)
            .map_err(|error| format!("cannot run nats-server: {error}"))?;
        *self.process() = Some(process);
        let answer = wait::try_eventually(WITHIN, "JetStream answers", async || {
            if !self.is_running() {
                return Ok(Err("nats-server did not start".to_owned()));
            }
            let client = self.try_client().await?;
            let account = jetstream::new(client).query_account().await;
            account.map(|_| Ok(())).map_err(|e| e.to_string())
        });
        let started = answer.await.unwrap_or_else(Err);
        started.map_err(|why| format!("{why}\n{}", tail(&self.log(), 10)))
    }

    /// Makes it use the normal nats-server from its next start on, with the same store.
    pub fn upgrade(&self) {
        *locked(&self.program) = PathBuf::from(PROGRAM);
    }

    /// Stops it in an orderly way.
    pub async fn stop(&self) {
        self.end(Signal::SIGTERM).await;
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&self) {
        self.end(Signal::SIGKILL).await;
    }

    /// Stops and starts it.
    pub async fn restart(&self) {
        self.stop().await;
        self.start().await;
    }

    /// Freezes the process: connections stay open and nothing answers, until [`Nats::unfreeze`].
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen process continue.
    pub fn unfreeze(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Copies the store of the stopped server, for [`Nats::put_back`].
    pub fn copy_store(&self) -> Directory {
        let copy = Directory::temporary("nats-copy");
        copy_all(&self.store(), copy.path());
        copy
    }

    /// Replaces the store of the stopped server by an earlier copy.
    pub fn put_back(&self, copy: &Directory) {
        fs::remove_dir_all(self.store()).expect("remove the store");
        copy_all(copy.path(), &self.store());
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Starts a shutdown for maintenance (lame duck mode): the server tells its clients, accepts no
    /// new ones, closes connections one by one after `lame_duck_grace_period` (10 s unless
    /// configured), and ends.
    pub fn lame_duck(&self) {
        self.signal(Signal::SIGUSR2);
    }

    /// Waits until it has ended on its own.
    pub async fn ended(&self, within: Duration) {
        wait::eventually(within, "nats-server ends", async || !self.is_running()).await;
    }

    /// Replaces the lines of [`Options::configuration`] in the running server.
    pub async fn reload(&self, configuration: &str) {
        let reloads = || self.log().matches("Reloaded server configuration").count();
        let before = reloads();
        self.configure(configuration);
        self.signal(Signal::SIGHUP);
        wait::eventually(WITHIN, "nats-server reads its configuration", async || {
            reloads() > before
        })
        .await;
    }

    /// Returns the process id, if it is running.
    pub fn pid(&self) -> Option<i32> {
        self.process().as_ref().map(Process::pid)
    }

    /// Returns whether the process that this object started is running.
    pub fn is_running(&self) -> bool {
        self.process()
            .as_mut()
            .is_some_and(|process| process.status().is_none())
    }

    fn configuration_path(&self) -> PathBuf {
        self.directory.path().join("nats.conf")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("nats.log")
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        locked(&self.process)
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &mut *self.process() {
            process.signal(signal);
        }
    }

    async fn end(&self, signal: Signal) {
        let process = self.process().take();
        if let Some(mut process) = process {
            process.signal(signal);
            process.signal(Signal::SIGCONT);
            process.ended(WITHIN).await;
        }
    }
}

/// Copies the content of a directory to another one, which is created if it does not exist.
fn copy_all(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-aT").args([from, to]).status();
    assert!(done.expect("run cp").success(), "copy {}", from.display());
}

impl Deref for Nats {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if matches!(self.lifetime, Lifetime::Tied(_))
            && let Some(process) = &mut *self.process()
        {
            process.signal(Signal::SIGKILL);
            process.ended_blocking(Duration::from_secs(10));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
