//! Other servers that are derived from a running one: streaming standbys, and base backups.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::{Postgres, make_parent};
use crate::directory::Directory;
use crate::port::Port;
use crate::process::{Lifetime, Process, Signal};

/// A program that receives the WAL of a server until it is dropped. See [`Postgres::receive_log`].
#[derive(Debug)]
pub struct LogReceiver {
    process: Process,
    /// The WAL that it has received.
    _directory: Directory,
}

impl Drop for LogReceiver {
    fn drop(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.ended_blocking(Duration::from_secs(10));
    }
}

impl Postgres {
    /// Creates a streaming standby of this running server, with the same settings. It is not
    /// started.
    ///
    /// Its name in `synchronous_standby_names` and `pg_stat_replication` is `name`.
    pub async fn create_standby(&self, name: &str) -> Self {
        // WAL that the standby has not received yet must still exist when it comes back.
        self.alter_system("wal_keep_size", "1GB").await;
        self.copy_by_base_backup(&["--write-recovery-conf"], name)
            .await
    }

    /// Creates a base backup of this running server, as a separate server with the same settings.
    /// It is not started; see [`Postgres::recover_until`].
    pub async fn create_base_backup(&self) -> Self {
        self.copy_by_base_backup(&[], "base_backup").await
    }

    /// Makes this stopped server a standby of `primary`, whether or not their histories have
    /// diverged.
    pub async fn rejoin(&self, primary: &Self, name: &str) {
        self.run(
            "pg_rewind",
            &[
                "--write-recovery-conf",
                "--no-sync",
                &format!("--source-server={}", primary.conninfo(name)),
                &format!("--target-pgdata={}", self.data().display()),
            ],
        )
        .await;
        // It has copied all files of the primary, including the settings.
        self.add_settings(&[("port", &self.port().to_string())]);
    }

    /// Promotes this standby to a primary.
    pub async fn promote(&self) {
        let data = self.data();
        let promoted = self
            .installation
            .pg_ctl(&data, &["promote", "-w", "-t", "60"]);
        promoted.await.unwrap_or_else(|why| panic!("{why}"));
    }

    /// Returns whether this running server is a standby or restores a backup.
    pub async fn is_in_recovery(&self) -> bool {
        self.value("SELECT pg_is_in_recovery()").await
    }

    /// Makes this base backup restore WAL from `archive` up to an LSN at its next start, and then
    /// become a primary.
    pub fn recover_until(&self, archive: &Path, lsn: &str) {
        self.add_settings(&[
            (
                "restore_command",
                &format!("cp {}/%f %p", archive.display()),
            ),
            ("recovery_target_lsn", lsn),
            ("recovery_target_action", "promote"),
            ("archive_mode", "off"),
        ]);
        File::create(self.data().join("recovery.signal")).expect("make recovery.signal");
    }

    /// Adds settings for the next start.
    pub(super) fn add_settings(&self, settings: &[(&str, &str)]) {
        let path = self.data().join("settings.conf");
        let file = File::options().append(true).open(path);
        let mut file = file.expect("open settings.conf");
        for (key, value) in settings {
            let value = value.replace('\'', "''");
            writeln!(file, "{key} = '{value}'").expect("write settings.conf");
        }
    }

    /// Starts a program that receives the WAL of this running server as `name`, as a standby does.
    /// It writes WAL at once, but flushes only complete segments to disk.
    pub async fn receive_log(&self, name: &str) -> LogReceiver {
        let slot = format!("SELECT pg_create_physical_replication_slot('{name}')");
        self.execute(&slot).await;
        let directory = Directory::temporary("received");
        self.installation.give(directory.path());
        let mut command = self.installation.command("pg_receivewal");
        command
            .args(["--no-loop", "--status-interval=1", "-d"])
            .arg(self.conninfo(name))
            .args(["--slot", name, "-D"])
            .arg(directory.path());
        let log = directory.path().join("messages");
        let process = Process::spawn(command, &log, Lifetime::Tied(Signal::SIGKILL));
        LogReceiver {
            process: process.expect("start pg_receivewal"),
            _directory: directory,
        }
    }

    async fn copy_by_base_backup(&self, arguments: &[&str], name: &str) -> Self {
        let copy = self.sibling();
        let data = copy.data();
        make_parent(&data);
        fs::create_dir(&data).expect("make a data directory");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("close it");
        self.installation.give(&data);
        let (from, to) = (self.conninfo(name), data.display().to_string());
        let own = ["--checkpoint=fast", "--no-sync", "-d", &from, "-D", &to];
        self.run("pg_basebackup", &[&own, arguments].concat()).await;
        copy.add_settings(&[("port", &copy.port().to_string())]);
        copy
    }

    /// Creates a cluster of the same installation, without files.
    pub(super) fn sibling(&self) -> Self {
        Self {
            installation: self.installation.clone(),
            port: Port::reserve(),
            lifetime: self.lifetime,
            process: Mutex::new(None),
            session: tokio::sync::Mutex::new(None),
            directory: Directory::temporary("postgres"),
        }
    }

    fn conninfo(&self, name: &str) -> String {
        let port = self.port();
        format!("host=127.0.0.1 port={port} user=postgres dbname=postgres application_name={name}")
    }

    async fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = tokio::process::Command::from(self.installation.command(program));
        let output = command.args(arguments).output().await;
        let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {complaint}"
        );
    }
}
