//! The program of `make soak`: the soak run of the test suite, for any length of time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool on the test fixtures: what goes wrong is said, and ends it"
)]

use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use pg_test::soak::{self, End, Plan};

const USAGE: &str = "usage: soak MINUTES [SEED]
  Seven live streams and faults of all kinds for MINUTES, in an order that SEED decides (one of its
  own unless given), and the account of every message at the end.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((minutes, seed)) = read(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    println!("soak: {minutes} minutes with seed {seed}");
    let end = End::Time(Duration::from_secs(60 * minutes));
    let report = soak::run(&Plan::everything(seed, end)).await;
    println!("{report}");
    if report.is_good() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "soak: not good; the logs are in {}",
        report.keep_log().display()
    );
    ExitCode::FAILURE
}

fn read(arguments: &[String]) -> Option<(u64, u64)> {
    match arguments {
        [minutes] => Some((number(minutes)?, seed_of_now())),
        [minutes, seed] => Some((number(minutes)?, number(seed)?)),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str(text).ok().filter(|&number| number > 0)
}

fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}
