//! Directories of the servers' files. A temporary one is removed with its owner.
//!
//! Its name contains the process id, so that the next process can remove it if this one is killed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MntFlags, umount2};
use nix::unistd::geteuid;

use crate::process;

/// Prefix of the name of a temporary directory; the process id follows.
pub const PREFIX: &str = "sr_event_writer-test-";

/// Mount point in a temporary directory.
pub const MOUNT_POINT: &str = "mounted";

/// Returns the directory below which temporary directories are created. `SR_TMPDIR` replaces the
/// system's own if that is too small, for example in memory. It has to be visible in the testbed,
/// as `/var/tmp` is.
pub fn base() -> PathBuf {
    std::env::var_os("SR_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// A directory, removed on drop unless it is permanent.
///
/// With `SR_KEEP=1` in the environment a failed test keeps it and prints its path.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    temporary: bool,
}

impl Directory {
    /// Creates a new, empty directory below [`base`], which every user can traverse.
    pub fn temporary(purpose: &str) -> Self {
        static SWEEP: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        SWEEP.call_once(remove_orphans);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{count}-{purpose}", std::process::id());
        let path = base().join(name);
        create(&path);
        Self {
            path,
            temporary: true,
        }
    }

    /// Takes a permanent directory, and creates it if it does not exist.
    pub fn lasting(path: &Path) -> Self {
        create(path);
        Self {
            path: path.to_owned(),
            temporary: false,
        }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        if std::thread::panicking() && std::env::var_os("SR_KEEP").is_some() {
            eprintln!("SR_KEEP: left {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Creates a directory that every user can traverse and only this one can change.
pub fn create(path: &Path) {
    fs::create_dir_all(path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
    let owner = fs::metadata(path).expect("its metadata").uid();
    assert_eq!(
        owner,
        geteuid().as_raw(),
        "{} belongs to another user",
        path.display()
    );
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set its permissions");
}

/// Removes the directories of killed processes. The first [`Directory::temporary`] does so as well.
pub fn remove_orphans() {
    let Ok(entries) = fs::read_dir(base()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        if !process::alive(pid) {
            // Most have nothing mounted. A directory with a mounted file system could not be
            // removed.
            let _ = umount2(&entry.path().join(MOUNT_POINT), MntFlags::MNT_DETACH);
            // Another process may be removing it as well; the next one tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
