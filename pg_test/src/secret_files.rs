//! Files of the user that PostgreSQL runs as, such as passwords and keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::chown;

use crate::directory::Directory;
use crate::postgres::Installation;

/// A directory with such files.
#[derive(Debug)]
pub struct SecretFiles {
    installation: Installation,
    directory: Directory,
}

impl SecretFiles {
    /// Creates an empty directory.
    #[allow(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self {
            installation: Installation::choose(),
            directory: Directory::temporary("secrets"),
        }
    }

    /// Returns the path of a file, whether it exists or not.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the path of a file as text, for a setting.
    pub fn setting(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file that only PostgreSQL can read. It replaces the one before in one step.
    pub fn write(&self, name: &str, content: &str) {
        let next = self.path(&format!("{name}.next"));
        fs::write(&next, content).expect("write a secret");
        self.installation.give(&next);
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).expect("set its mode");
        fs::rename(&next, self.path(name)).expect("put a secret in its place");
    }

    /// Changes the mode of a file.
    pub fn set_mode(&self, name: &str, mode: u32) {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.path(name), mode).expect("set its mode");
    }

    /// Gives a file to root, and to the group of PostgreSQL's user, as Kubernetes does.
    pub fn give_to_root(&self, name: &str) {
        chown(&self.path(name), Some(0.into()), None).expect("give a file to root");
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("remove a secret");
    }
}
