//! Notices that a file of the settings has changed, so that the next attempt to connect need not
//! wait for the end of a long delay.

use crate::settings::{Authentication, Settings};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Interval at which the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What changes when somebody changes a file, replaces it, or changes who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change of content, owner or mode.
    changed: (i64, i64),
}

/// The files that the settings name, as they are at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileVersions(Vec<(PathBuf, Option<Version>)>);

impl FileVersions {
    /// Looks at the files. Take it before they are read.
    pub(super) async fn now(settings: &Settings) -> Self {
        Self::of(paths(settings)).await
    }

    /// Returns once one of the files is no longer as it was; never if there are none.
    pub(super) async fn changed(&self) {
        if self.0.is_empty() {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let paths = self.0.iter().map(|(path, _)| path.clone()).collect();
            if Self::of(paths).await != *self {
                return;
            }
        }
    }

    /// Looks at files, in a thread where that may block.
    async fn of(paths: Vec<PathBuf>) -> Self {
        let with_version = |path: PathBuf| {
            let version = version(&path);
            (path, version)
        };
        let look = move || Self(paths.into_iter().map(with_version).collect());
        // It neither panics nor is aborted, except that the runtime shuts down.
        tokio::task::spawn_blocking(look)
            .await
            .unwrap_or(Self(Vec::new()))
    }
}

/// Returns the version of the file at a path, wherever symbolic links lead; `None` if there is
/// none.
fn version(path: &Path) -> Option<Version> {
    let metadata = fs::metadata(path).ok()?;
    Some(Version {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Returns the paths of all files that the settings name.
fn paths(settings: &Settings) -> Vec<PathBuf> {
    let login = match &settings.authentication {
        Authentication::None => None,
        Authentication::Credentials { file } | Authentication::Token { file } => Some(file),
        Authentication::Nkey { seed_file } => Some(seed_file),
        Authentication::Password { password_file, .. } => Some(password_file),
    };
    let client = settings.tls.client.as_ref();
    let tls = settings.tls.ca_file.iter();
    let tls = tls.chain(client.map(|client| &client.cert_file));
    let tls = tls.chain(client.map(|client| &client.key_file));
    login.into_iter().chain(tls).cloned().collect()
}
