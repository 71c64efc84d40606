//! Selects the PostgreSQL installation, and runs its programs as a user that it accepts.
//!
//! `SR_PG_MAJOR` (default 18) selects the version, `SR_PG_BIN` the directory of its programs.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::User;

use super::Stop;
use crate::process;

/// The programs of one PostgreSQL version.
#[derive(Debug, Clone)]
pub struct Installation {
    bin: PathBuf,
    version: String,
    account: Option<User>,
}

impl Installation {
    /// Returns the installation that the environment selects.
    pub fn choose() -> Self {
        let bin = std::env::var_os("SR_PG_BIN").map_or_else(
            || {
                let major = std::env::var("SR_PG_MAJOR").unwrap_or_else(|_| "18".to_owned());
                PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))
            },
            PathBuf::from,
        );
        let output = Command::new(bin.join("postgres")).arg("--version").output();
        let output = output.unwrap_or_else(|error| {
            panic!(
                "no PostgreSQL in {}: {error} (SR_PG_MAJOR, SR_PG_BIN)",
                bin.display()
            )
        });
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Self {
            bin,
            version,
            account: process::server_account(),
        }
    }

    /// Returns its full version, e.g. `postgres (PostgreSQL) 18.1 (Debian 18.1-2)`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns its major version.
    pub fn major(&self) -> u32 {
        let number = self
            .version
            .split(' ')
            .find_map(|word| word.split_once('.'));
        let major = number.and_then(|(major, _)| major.parse().ok());
        major.unwrap_or_else(|| panic!("cannot read the version from {:?}", self.version))
    }

    /// Creates a command that runs one of its programs as a user that it accepts.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8");
        if let Some(user) = &self.account {
            command
                .uid(user.uid.as_raw())
                .gid(user.gid.as_raw())
                .env("HOME", &user.dir);
        }
        command
    }

    /// Gives a file or directory to the user that the server runs as.
    pub fn give(&self, path: &Path) {
        if let Some(user) = &self.account {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            chown(path, Some(uid), Some(gid))
                .unwrap_or_else(|error| panic!("give away {}: {error}", path.display()));
        }
    }

    /// Runs `pg_ctl stop` on the cluster in `data`, and waits until the server is gone.
    pub async fn stop(&self, data: &Path, mode: Stop) -> Result<(), String> {
        let mode = match mode {
            Stop::Smart => "smart",
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        self.pg_ctl(data, &["stop", "-m", mode, "-w", "-t", "120"])
            .await
    }

    /// Runs `pg_ctl` on the cluster in `data`.
    pub(super) async fn pg_ctl(&self, data: &Path, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.command("pg_ctl");
        command.args(arguments).arg("-D").arg(data);
        let output = tokio::process::Command::from(command)
            .stdin(Stdio::null())
            .output()
            .await;
        let output = output.map_err(|error| format!("cannot run pg_ctl: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "pg_ctl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }

    /// Returns a hint for a server that did not start, from its log.
    pub(super) fn hint(&self, log: &str) -> String {
        if log.contains("could not access file \"sr_event_writer\"") {
            return format!(
                ": the extension is not installed for {}; `make install` does that",
                self.version
            );
        }
        String::new()
    }

    /// Removes the small System V shared memory segment that a killed server left in the kernel. A
    /// server uses it to find out whether an earlier process still runs.
    pub(super) fn remove_shared_memory(&self, data: &Path) {
        // The seventh line of a lock file that still exists contains key and number of the segment.
        let Ok(lock) = fs::read_to_string(data.join("postmaster.pid")) else {
            return;
        };
        let segment = lock
            .lines()
            .nth(6)
            .and_then(|line| line.split_ascii_whitespace().nth(1));
        if let Some(segment) = segment {
            let command = Command::new("ipcrm")
                .args(["-m", segment])
                .stderr(Stdio::null())
                .status();
            if let Err(error) = command {
                eprintln!("cannot run ipcrm: {error}");
            }
        }
    }
}
