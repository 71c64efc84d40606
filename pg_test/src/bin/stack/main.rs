//! The servers behind `make up`, `make down`, `make psql` and `make demo`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool on the test fixtures: what goes wrong is said, and ends it"
)]

mod demo;
mod lasting;

use std::process::ExitCode;

const USAGE: &str = "usage: stack up|env|down|demo [KEY=VALUE…]
  up     start a PostgreSQL with TimescaleDB and a NATS server that stay; print their settings
  env    print the settings of those that `up` started
  down   stop them and remove their files
  demo   start throw-away ones, publish messages, wait until they are rows, stop;
         KEY=VALUE are further settings of PostgreSQL";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["up"] => lasting::up().await.map(|settings| print!("{settings}")),
        ["env"] => lasting::env().map(|settings| print!("{settings}")),
        ["down"] => lasting::down().await,
        ["demo", ref settings @ ..] => interruptible(demo::run(settings)).await,
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the work; on Ctrl-C, ends it in an orderly way, with all processes that it has started.
async fn interruptible(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted".to_owned()),
    }
}
