//! Child processes that end with the test, however it ends, and figures from `/proc`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
pub use nix::sys::signal::Signal;
use nix::unistd::{Pid, User, geteuid, getpid, getppid, setsid};

use crate::wait;

/// Lifetime of a process.
#[derive(Debug, Clone, Copy)]
pub enum Lifetime {
    /// At most as long as this process: when it dies, the kernel sends the signal to the child.
    Tied(Signal),
    /// Unlimited, in a session of its own.
    Detached,
}

/// A child process. Dropping it does not end it, because its owner knows how to stop it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`, with its output appended to the file `log`.
    pub fn spawn(mut command: Command, log: &Path, lifetime: Lifetime) -> io::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let parent = getpid();
        let prepare = move || {
            match lifetime {
                Lifetime::Detached => drop(setsid()?),
                Lifetime::Tied(signal) => {
                    set_pdeathsig(signal)?;
                    if getppid() != parent {
                        return Err(io::Error::other("the test died meanwhile"));
                    }
                }
            }
            Ok(())
        };
        // SAFETY: between fork and exec, `prepare` makes only system calls. It takes no lock, and
        // allocates only for the error with which the child ends.
        unsafe { command.pre_exec(prepare) };
        let child = on_spawner_thread(move || command.spawn())?;
        Ok(Self { child })
    }

    /// Returns its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process id")
    }

    /// Returns its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for a child")
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            kill(self.pid(), signal);
        }
    }

    /// Waits until it has ended; panics on timeout.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the end of process {}", self.pid());
        wait::eventually(within, what, async || self.status()).await
    }

    /// Like [`Process::ended`], for `Drop`; returns false on timeout.
    pub fn ended_blocking(&mut self, within: Duration) -> bool {
        wait::blocking(within, || self.status().is_some())
    }
}

/// Runs `work` on a thread that lives as long as this process. The kernel sends a child's death
/// signal when the *thread* that created it ends, so all children are created by this one.
fn on_spawner_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    type Job = Box<dyn FnOnce() + Send>;
    static SPAWNER: OnceLock<SyncSender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = sync_channel::<Job>(0);
        std::thread::spawn(move || jobs.into_iter().for_each(|job| job()));
        sender
    });
    let (reply, answer) = sync_channel(1);
    let job = Box::new(move || drop(reply.send(work())));
    spawner
        .send(job)
        .expect("the spawner thread lives as long as this process");
    answer.recv().expect("the spawner thread's answer")
}

/// Returns the account that PostgreSQL runs under, because it refuses root: `postgres`. Returns
/// `None` if this process is not root, so that PostgreSQL runs as the same user.
pub fn server_account() -> Option<User> {
    geteuid().is_root().then(|| {
        User::from_name("postgres")
            .expect("read the list of users")
            .expect("PostgreSQL refuses to run as root, and this machine has no user `postgres`")
    })
}

/// Sends a signal to any process. If the process is gone, does nothing.
pub fn kill(pid: i32, signal: Signal) {
    // The only other error is a missing permission, which the test will reveal.
    let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
}

/// Returns whether the process exists and is not a zombie.
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Returns whether the process is stopped by SIGSTOP, or is gone.
pub fn stands_still(pid: i32) -> bool {
    stat(pid).is_none_or(|(state, _)| matches!(state, 'T' | 'Z' | 'X'))
}

/// Returns the processes whose parent is `pid`.
pub fn children(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("list /proc");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&child| stat(child).is_some_and(|(_, parent)| parent == pid))
        .collect()
}

/// Returns the program and the arguments of a process, separated by spaces; empty if it is gone.
pub fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Returns the memory that only this process uses, in bytes: heap, stacks and files in memory, but
/// not PostgreSQL's shared buffers.
pub fn private_memory(pid: i32) -> Option<u64> {
    Some(anonymous_memory(pid)? + files_in_memory(pid))
}

/// Returns the bytes of its files from `memfd_create`, which the kernel counts as shared memory,
/// like PostgreSQL's shared buffers.
fn files_in_memory(pid: i32) -> u64 {
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    let open = open.into_iter().flatten().flatten();
    let mut files: Vec<(u64, u64)> = open
        .filter(|entry| {
            let name = fs::read_link(entry.path()).unwrap_or_default();
            name.to_string_lossy().starts_with("/memfd:")
        })
        .filter_map(|entry| fs::metadata(entry.path()).ok())
        .map(|file| (file.ino(), file.blocks() * 512))
        .collect();
    files.sort_unstable();
    // Two descriptors may refer to the same file.
    files.dedup();
    files.iter().map(|(_, bytes)| bytes).sum()
}

fn anonymous_memory(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024)
}

/// Returns the state letter and the parent's process id.
fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it is in parentheses, and may contain parentheses itself.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
