//! A template for each version and set of options, made by `initdb`. Every cluster is a copy of it.
//!
//! Tests in several processes may need it at the same time: a lock lets one of them make it, and
//! the directory gets its name only when it is complete.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use super::{Installation, make_parent};
use crate::directory;

const INITDB: &[&str] = &[
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    // The default of PostgreSQL 18; pg_rewind needs it.
    "--data-checksums",
    "--no-sync",
    "--no-instructions",
];

/// Initial settings of every cluster. `settings.conf` comes after them, and then ALTER SYSTEM.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %b '
max_connections = 40
max_worker_processes = 24
shared_buffers = '128MB'
max_wal_size = '2GB'
fsync = off
timescaledb.telemetry_level = off
include 'settings.conf'
";

/// Creates a new cluster in `data`.
pub(super) fn copy(installation: &Installation, data: &Path) {
    make_parent(data);
    run(Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(make(installation))
        .arg(data));
}

/// Returns the template's directory, and creates it if it does not exist.
fn make(installation: &Installation) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (installation.version(), INITDB, SETTINGS).hash(&mut hasher);
    let name = format!("{}-{:016x}", installation.major(), hasher.finish());
    let folder = directory::base().join(format!("sr_event_writer-templates-{}", geteuid()));
    directory::create(&folder);
    let template = folder.join(&name);

    let lock = File::create(folder.join(format!("{name}.lock"))).expect("make the template's lock");
    lock.lock().expect("take the template's lock");
    if !template.exists() {
        let unfinished = folder.join(format!("{name}.new"));
        // A killed test may have left it behind.
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir(&unfinished).expect("make the template's directory");
        installation.give(&unfinished);
        run(installation
            .command("initdb")
            .args(INITDB)
            .arg("-D")
            .arg(&unfinished));
        let conf = unfinished.join("postgresql.conf");
        let defaults = fs::read_to_string(&conf).expect("read initdb's postgresql.conf");
        fs::write(&conf, defaults + SETTINGS).expect("write postgresql.conf");
        fs::rename(&unfinished, &template).expect("give the template its name");
    }
    template
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
}
