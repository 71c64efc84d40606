//! Neither the program behind `make up` and `make demo` nor the fixtures leave anything behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use pg_test::directory::{self, Directory, PREFIX};
use pg_test::postgres::{Options, Postgres, Stop};
use pg_test::process::{self, Lifetime, Process, Signal};
use pg_test::wait::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stack");

/// Runs the program as if it belonged to the checkout `folder`.
async fn stack(folder: &Path, argument: &str) -> Output {
    let mut command = tokio::process::Command::new(PROGRAM);
    command.arg(argument).current_dir(folder).kill_on_drop(true);
    command.output().await.expect("run stack")
}

/// Servers that outlive the program, until a test ends, however it does.
struct Lasting<'a>(&'a Path);

impl Drop for Lasting<'_> {
    fn drop(&mut self) {
        let down = Command::new(PROGRAM)
            .arg("down")
            .current_dir(self.0)
            .output();
        // An error here shows in the test itself.
        drop(down);
    }
}

fn setting(output: &Output, key: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let complaint = String::from_utf8_lossy(&output.stderr);
    line.unwrap_or_else(|| panic!("no {key} in {text:?}; {complaint}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn up_works_twice_and_down_leaves_nothing() {
    let folder = Directory::temporary("checkout");
    let path = folder.path();
    let _down = Lasting(path);
    assert!(
        !stack(path, "env").await.status.success(),
        "nothing runs yet"
    );
    let first = stack(path, "up").await;
    let data = setting(&first, "PGDATA");
    for key in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "NATS_URL"] {
        setting(&first, key);
    }
    for again in ["up", "env"] {
        assert_eq!(
            stack(path, again).await.stdout,
            first.stdout,
            "{again} prints the same"
        );
    }
    let pid_file = fs::read_to_string(Path::new(&data).join("postmaster.pid")).unwrap();
    let postmaster: i32 = pid_file.lines().next().unwrap().parse().unwrap();
    assert!(process::alive(postmaster));

    for _ in 0..2 {
        assert!(
            stack(path, "down").await.status.success(),
            "down works, also twice"
        );
    }
    assert!(!process::alive(postmaster));
    let home = Path::new(&data).ancestors().nth(2).unwrap();
    assert!(!home.exists(), "{} is still there", home.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_a_killed_process_end_with_it() {
    let folder = Directory::temporary("killed");
    let log = folder.path().join("log");
    let mut command = Command::new(PROGRAM);
    command.arg("demo").current_dir(folder.path());
    let mut demo = Process::spawn(command, &log, Lifetime::Tied(Signal::SIGKILL)).unwrap();
    let within = Duration::from_secs(30);
    let servers = eventually(within, "the demo's two servers", async || {
        let servers = process::children(demo.pid());
        let named = |name| {
            servers
                .iter()
                .any(|&pid| process::command_line(pid).contains(name))
        };
        let both = named("postgres") && named("nats-server");
        both.then_some(servers)
    })
    .await;
    demo.signal(Signal::SIGKILL);
    demo.ended(within).await;
    eventually(within, "its servers are gone", async || {
        !servers.iter().any(|&pid| process::alive(pid))
    })
    .await;
    // Its files are removed by whoever comes next.
    directory::remove_orphans();
    for entry in fs::read_dir(directory::base()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap_or_default();
        assert!(
            !name.starts_with(&format!("{PREFIX}{}-", demo.pid())),
            "{name} is left"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_gone_when_it_is_dropped_even_when_it_was_killed_before() {
    let options = || Options {
        preload: String::new(),
        ..Options::default()
    };
    let pg = Postgres::create(options());
    pg.start().await;
    let (data, pid) = (pg.data(), pg.postmaster_pid());
    drop(pg);
    assert!(!data.exists() && !process::alive(pid));

    let pg = Postgres::create(options());
    pg.start().await;
    pg.execute("CREATE TABLE t AS SELECT 1 AS x").await;
    let backends = process::children(pg.postmaster_pid());
    assert!(backends.len() > 3, "{backends:?}");
    pg.kill_all().await;
    assert!(!backends.iter().any(|&pid| process::alive(pid)));
    pg.start().await;
    assert_eq!(pg.value::<i32>("SELECT x FROM t").await, 1, "it recovers");
    pg.stop(Stop::Fast).await;
    pg.start().await;
    pg.kill_all().await;
}
