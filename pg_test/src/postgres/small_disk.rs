//! A small disk that can be filled: a file system in memory.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Postgres;
use crate::directory::{Directory, MOUNT_POINT};
use crate::process;

/// A mounted file system. It is unmounted when dropped, and must outlive the server that uses it.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    _directory: Directory,
}

impl SmallDisk {
    /// Mounts one of this size. Panics if this machine does not permit mounts. With `SR_NO_MOUNT=1`
    /// it returns `None` instead, and the test is skipped.
    pub fn mount(megabytes: u32) -> Option<Self> {
        if std::env::var_os("SR_NO_MOUNT").is_some_and(|value| value == "1") {
            eprintln!("SR_NO_MOUNT=1: nothing is tested with a full disk");
            return None;
        }
        let directory = Directory::temporary("disk");
        let path = directory.path().join(MOUNT_POINT);
        fs::create_dir(&path).expect("make a mount point");
        let owner = process::server_account()
            .map(|user| format!(",uid={},gid={}", user.uid, user.gid))
            .unwrap_or_default();
        let options = format!("size={megabytes}m,mode=0755{owner}");
        let flags = MsFlags::empty();
        let mounted = mount(Some("tmpfs"), &path, Some("tmpfs"), flags, Some(&*options));
        mounted.unwrap_or_else(|error| {
            panic!(
                "this machine does not permit to mount a small disk: {error}. It takes root with \
                 CAP_SYS_ADMIN; SR_NO_MOUNT=1 leaves out the tests with a full disk"
            )
        });
        Some(Self {
            path,
            _directory: directory,
        })
    }

    /// Creates a tablespace on it.
    pub async fn create_tablespace(&self, pg: &Postgres, name: &str) {
        let folder = self.path.join(name);
        fs::create_dir(&folder).expect("make the tablespace's folder");
        pg.installation.give(&folder);
        let sql = format!("CREATE TABLESPACE {name} LOCATION '{}'", folder.display());
        pg.execute(&sql).await;
    }

    /// Moves the WAL of a stopped server to it.
    pub fn take_log_of(&self, pg: &Postgres) {
        let (from, to) = (pg.data().join("pg_wal"), self.path.join("pg_wal"));
        let moved = Command::new("mv").args([&from, &to]).status();
        assert!(moved.expect("run mv").success(), "move pg_wal");
        symlink(&to, &from).expect("link pg_wal");
    }

    /// Fills it until no block is free.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("make a file that fills the disk");
        // In ever smaller steps, so that not one page remains free.
        for size in [1 << 20, 1 << 12] {
            let block = vec![b'x'; size];
            let full = loop {
                if let Err(error) = file.write_all(&block) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        }
    }

    /// Frees what [`SmallDisk::fill`] has taken.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("remove the file that fills the disk");
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            eprintln!("cannot unmount {}: {error}", self.path.display());
        }
    }
}
