//! A pair of servers that keeps running until it is taken down, one for each checkout.
//!
//! Its directory below /var/tmp survives a restart of the machine, and with it ports, messages and
//! rows: the next `up` continues with them.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pg_test::directory;
use pg_test::nats::Nats;
use pg_test::placement::Placement;
use pg_test::port::Port;
use pg_test::postgres::{Installation, Postgres, Stop};
use pg_test::process::{self, Signal};
use pg_test::stack::Stack;
use pg_test::wait;

const POSTGRES: &str = "postgres";
const NATS: &str = "nats";
const SETTINGS: &str = "settings";

/// Starts both servers unless they are running. Returns the settings to reach them, as `KEY=value`
/// lines.
pub async fn up() -> Result<String, String> {
    let home = home();
    let _lock = lock(&home)?;
    if let Ok(settings) = running(&home) {
        return Ok(settings);
    }
    check_version(&home)?;
    // One of the two may still be running.
    stop(&home).await?;
    let started = start(&home).await;
    if started.is_err() {
        stop(&home).await?;
    }
    started
}

/// Returns the settings that `up` printed.
pub fn env() -> Result<String, String> {
    running(&home())
}

/// Stops both servers and removes their files. Succeeds if there is nothing to remove.
pub async fn down() -> Result<(), String> {
    let home = home();
    if !home.exists() {
        return Ok(());
    }
    let _lock = lock(&home)?;
    stop(&home).await?;
    fs::remove_dir_all(&home).map_err(|e| format!("cannot remove {}: {e}", home.display()))
}

async fn start(home: &Path) -> Result<String, String> {
    let stack = Stack::builder()
        .setting("fsync", "on")
        .postgres(|options| {
            let port = remembered_port(home, "PGPORT=");
            options.placement = Placement::lasting(home.join(POSTGRES), port);
        })
        .nats(|options| {
            let port = remembered_port(home, "NATS_URL=");
            options.placement = Placement::lasting(home.join(NATS), port);
        })
        .try_start()
        .await?;
    let settings = format!(
        "PGHOST=127.0.0.1\nPGPORT={}\nPGUSER=postgres\nPGDATABASE=postgres\nNATS_URL={}\nPGDATA={}\n",
        stack.pg.port(),
        stack.nats.url(),
        stack.pg.data().display(),
    );
    let file = home.join(SETTINGS);
    fs::write(&file, &settings).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    Ok(settings)
}

async fn stop(home: &Path) -> Result<(), String> {
    let data = Postgres::data_at(&home.join(POSTGRES));
    if postgres_pid(home).is_some() {
        let installation = Installation::choose();
        if let Err(why) = installation.stop(&data, Stop::Fast).await {
            eprintln!("{why}; not waiting for it any longer");
            installation.stop(&data, Stop::Immediate).await?;
        }
    }
    if let Some(pid) = nats_pid(home) {
        process::kill(pid, Signal::SIGTERM);
        let within = Duration::from_secs(20);
        wait::try_eventually(within, "nats-server ends", async || !process::alive(pid)).await?;
    }
    Ok(())
}

/// Returns the settings, if both servers are running.
fn running(home: &Path) -> Result<String, String> {
    let both = postgres_pid(home).is_some() && nats_pid(home).is_some();
    let settings = fs::read_to_string(home.join(SETTINGS))
        .ok()
        .filter(|_| both);
    settings.ok_or_else(|| "nothing is running here: start it with `make up`".to_owned())
}

fn postgres_pid(home: &Path) -> Option<i32> {
    let data = Postgres::data_at(&home.join(POSTGRES));
    server(&data.join("postmaster.pid"), &data)
}

fn nats_pid(home: &Path) -> Option<i32> {
    let home = home.join(NATS);
    server(&Nats::pid_file_at(&home), &home)
}

/// Returns the process in a pid file, if it is still the server with `path` on its command line.
fn server(pid_file: &Path, path: &Path) -> Option<i32> {
    let pid = fs::read_to_string(pid_file)
        .ok()?
        .lines()
        .next()?
        .trim()
        .parse()
        .ok()?;
    let path = path.to_str()?;
    (process::alive(pid) && process::command_line(pid).contains(path)).then_some(pid)
}

/// Reserves the port at the end of this line of the settings, if it is still free.
fn remembered_port(home: &Path, key: &str) -> Option<Port> {
    let settings = fs::read_to_string(home.join(SETTINGS)).ok()?;
    let line = settings.lines().find(|line| line.starts_with(key))?;
    Port::claim(line.rsplit(['=', ':']).next()?.parse().ok()?)
}

fn check_version(home: &Path) -> Result<(), String> {
    let file = Postgres::data_at(&home.join(POSTGRES)).join("PG_VERSION");
    let Ok(made_by) = fs::read_to_string(file) else {
        return Ok(());
    };
    let major = Installation::choose().major().to_string();
    if made_by.trim() == major {
        return Ok(());
    }
    Err(format!(
        "the cluster here was made by PostgreSQL {}, and this is {major}: remove it with `make down`",
        made_by.trim()
    ))
}

/// Locks the directory against other commands, which would interfere. Creates the directory if it
/// does not exist. The lock file is in it, so that `down` can remove everything.
fn lock(home: &Path) -> Result<File, String> {
    let path = home.join("lock");
    let describe = |error| format!("cannot lock {}: {error}", path.display());
    loop {
        directory::create(home);
        let file = File::create(&path).map_err(describe)?;
        file.lock().map_err(describe)?;
        let locked = file.metadata().map_err(describe)?.ino();
        // The previous owner of the lock may have been `down`, which has removed the file.
        if fs::metadata(&path).is_ok_and(|current| current.ino() == locked) {
            return Ok(file);
        }
    }
}

/// Returns the directory of this checkout's servers.
fn home() -> PathBuf {
    let here = std::env::current_dir().expect("a working directory");
    let checkout = here
        .ancestors()
        .find(|folder| folder.join("pg_test/Cargo.toml").exists());
    let mut hasher = DefaultHasher::new();
    checkout.unwrap_or(&here).hash(&mut hasher);
    PathBuf::from(format!("/var/tmp/sr_event_writer-{:016x}", hasher.finish()))
}
