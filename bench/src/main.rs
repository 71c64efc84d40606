//! The benchmark behind `make bench`, `bench/quick` and the regression guard.
//!
//! `docs/performance.md` describes the measurements. Read the files in this order:
//!
//! - [`rounds`]: runs the contenders in turn. Each is a file: [`limit`], [`ours`], [`copy_writer`],
//!   [`copy_writer_tuned`], [`insert_writer`]; [`external`] runs the last three, which use
//!   [`batches`] and [`typed`].
//! - [`fixture`]: their servers, messages and tables, which [`workload`] defines.
//! - [`latency`], [`decode`], [`idle`]: figures without a backlog.
//! - [`scale`], [`workers`]: backlogs of other sizes, and backlogs shared by two workers.
//! - [`measure`], [`report`], [`quick`]: figures, the table, the regression guard.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool on the test fixtures: what goes wrong is said, and ends it"
)]

mod batches;
mod copy_writer;
mod copy_writer_tuned;
mod decode;
mod external;
mod fixture;
mod idle;
mod insert_writer;
mod latency;
mod limit;
mod measure;
mod ours;
mod quick;
mod report;
mod rounds;
mod scale;
mod typed;
mod workers;
mod workload;

use std::process::ExitCode;

use fixture::Fixture;
use report::Report;
use rounds::Contender;

const USAGE: &str = "usage: bench [--short] [--messages N] [--rounds N] [--only WORKLOAD]
             [--contenders NAME,…]       only these; without latency and decoders
             [--options 'KEY=VALUE …']   the pipeline options of the extension
       bench quick|guard|record|decode|scale|idle|workers
  quick   rows/s of the extension, of one COPY, and their ratio
  guard   the same; fails when the ratio is far below that in bench/recorded.json
  record  the same; writes bench/recorded.json
  decode  messages that one core decodes a second
  scale   cost of a row for 100,000 to 5,000,000 waiting messages and 1 to 60 chunks
  idle    what seven pipelines without messages cost, and status queries
  workers rows/s of one stream in two pipelines, with one worker and with two";

/// The extent of a run.
struct Extent {
    messages: u64,
    rounds: usize,
    seconds: u64,
    only: Option<String>,
    contenders: Vec<Contender>,
    options: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["writer", ref rest @ ..] => external::main(rest).await,
        ["quick"] => interruptible(quick::show()).await,
        ["guard"] => interruptible(quick::guard()).await,
        ["decode"] => {
            report::print_decode(&decode::measure());
            Ok(())
        }
        ["scale"] => interruptible(scale::measure()).await,
        ["idle"] => interruptible(idle::measure()).await,
        ["workers"] => interruptible(workers::measure()).await,
        ["record"] => interruptible(quick::record()).await,
        ref options => match extent(options) {
            Some(extent) => interruptible(all(extent)).await,
            None => Err(USAGE.to_owned()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn extent(mut options: &[&str]) -> Option<Extent> {
    let mut extent = Extent {
        messages: 500_000,
        rounds: 5,
        seconds: 20,
        only: None,
        contenders: Contender::ALL.to_vec(),
        options: String::new(),
    };
    while !options.is_empty() {
        options = match options {
            ["--short", rest @ ..] => {
                extent = Extent {
                    messages: 100_000,
                    rounds: 3,
                    seconds: 5,
                    ..extent
                };
                rest
            }
            ["--messages", number, rest @ ..] => {
                extent.messages = number.parse().ok()?;
                rest
            }
            ["--rounds", number, rest @ ..] => {
                extent.rounds = number.parse().ok()?;
                rest
            }
            ["--only", workload, rest @ ..] => {
                extent.only = Some((*workload).to_owned());
                rest
            }
            ["--contenders", names, rest @ ..] => {
                let named = names.split(',').map(Contender::named);
                extent.contenders = named.collect::<Option<_>>()?;
                rest
            }
            ["--options", given, rest @ ..] => {
                extent.options = (*given).to_owned();
                rest
            }
            _ => return None,
        };
    }
    Some(extent)
}

async fn all(extent: Extent) -> Result<(), String> {
    let fixture = Fixture::start().await?;
    for workload in workload::ALL {
        let setting = format!("sr_event_writer.stream_{}", workload.feed.name());
        fixture
            .stack
            .pg
            .alter_system(&setting, &extent.options)
            .await;
    }
    let mut results = Vec::new();
    let mut filled = None;
    let wanted = |name| extent.only.as_deref().is_none_or(|only| only == name);
    for workload in workload::ALL.iter().filter(|w| wanted(w.name)) {
        if filled != Some(workload.feed) {
            // The kept rows must be those of a table that was empty before.
            let plain = workload::Workload {
                duplicates: false,
                ..*workload
            };
            rounds::fill(&fixture, &plain, extent.messages).await?;
            filled = Some(workload.feed);
        }
        let run = rounds::run(
            &fixture,
            workload,
            &extent.contenders,
            extent.rounds,
            extent.messages,
        );
        results.extend(run.await?);
    }
    if extent.contenders.len() < Contender::ALL.len() {
        report::print_results(&results);
        return Ok(());
    }
    let report = Report {
        results,
        latency: latency::measure(&fixture, extent.seconds).await?,
        decode: decode::measure(),
    };
    report.print();
    println!("\nwritten to {}", report.save()?.display());
    Ok(())
}

/// Runs the work; on Ctrl-C, ends it in an orderly way, with all processes that it has started.
async fn interruptible(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted".to_owned()),
    }
}
