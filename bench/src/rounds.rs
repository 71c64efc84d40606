//! The contenders in turn, on each workload.

use std::collections::HashSet;

use crate::external::{self, Kind};
use crate::ground::Ground;
use crate::measure::{self, Round};
use crate::workload::Workload;
use crate::{limit, ours};

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// One server-side COPY.
    Limit,
    /// The extension.
    Ours,
    /// An external process.
    External(Kind),
}

impl Contender {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Limit,
        Self::Ours,
        Self::External(Kind::Copy),
        Self::External(Kind::Insert),
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Its name in `bench.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Ours => "ours",
            Self::External(Kind::Copy) => "copy-writer",
            Self::External(Kind::Insert) => "insert-writer",
        }
    }
}

/// What several rounds of a contender say.
#[derive(Debug, Clone)]
pub struct Result {
    /// The workload's name.
    pub workload: &'static str,
    /// Who.
    pub contender: Contender,
    /// Messages that became rows or were rows before, each second: least, middle, most.
    pub rate: [f64; 3],
    /// The middle one, as a part of the limit's.
    pub ratio: f64,
    /// Median of the processor seconds for a million messages.
    pub cpu_per_million: f64,
    /// Largest memory of the writing process, in megabytes.
    pub peak_mb: f64,
    /// Median part of the machine's processors that something else took meanwhile.
    pub others: f64,
}

/// Runs `rounds` rounds of the contenders on messages that are in the stream already.
pub async fn run(
    ground: &Ground,
    workload: &Workload,
    contenders: &[Contender],
    rounds: usize,
    messages: u64,
) -> std::result::Result<Vec<Result>, String> {
    let mut figures: Vec<Vec<(Round, u64)>> = vec![Vec::new(); contenders.len()];
    let mut fingerprints = HashSet::new();
    for number in 0..rounds {
        for place in 0..contenders.len() {
            // Nobody always comes after the same one.
            let which = (place + number) % contenders.len();
            let contender = contenders[which];
            ground.prepare(workload).await;
            let done = match contender {
                Contender::Limit => limit::round(ground, workload, messages).await,
                Contender::Ours => (ours::round(ground, workload).await?, messages),
                Contender::External(kind) => {
                    let round = external::round(ground, kind, workload, messages).await?;
                    (round, messages)
                }
            };
            ground.check(workload, messages).await;
            if number == 0 {
                fingerprints.insert(ground.fingerprint(workload).await);
                assert_eq!(fingerprints.len(), 1, "{contender:?} wrote other rows");
            }
            eprintln!(
                "bench: {:<20}{:<14}round {}: {:>8.0} rows/s",
                workload.name,
                contender.name(),
                number + 1,
                done.1 as f64 / done.0.seconds
            );
            figures[which].push(done);
        }
    }
    let mut results: Vec<Result> = contenders
        .iter()
        .zip(&figures)
        .map(|(&contender, rounds)| summary(workload, contender, rounds))
        .collect();
    let limit = results
        .iter()
        .find(|result| result.contender == Contender::Limit)
        .map_or(f64::NAN, |result| result.rate[1]);
    for result in &mut results {
        result.ratio = result.rate[1] / limit;
    }
    Ok(results)
}

fn summary(workload: &Workload, contender: Contender, rounds: &[(Round, u64)]) -> Result {
    let rates = rounds
        .iter()
        .map(|(round, rows)| *rows as f64 / round.seconds);
    let cpu = rounds
        .iter()
        .map(|(round, rows)| round.cpu * 1e6 / *rows as f64);
    let peak = rounds.iter().map(|(round, _)| round.peak).max();
    Result {
        workload: workload.name,
        contender,
        rate: [
            measure::quantile(rates.clone(), 0.0),
            measure::median(rates.clone()),
            measure::quantile(rates, 1.0),
        ],
        ratio: f64::NAN,
        cpu_per_million: measure::median(cpu),
        peak_mb: peak.unwrap_or(0) as f64 / 1e6,
        others: measure::median(rounds.iter().map(|(round, _)| round.others)),
    }
}

/// Fills the stream, and keeps its rows for the limit. The extension makes them: an untimed round
/// that also warms everything up. The first timed round compares what each contender writes.
pub async fn fill(
    ground: &Ground,
    workload: &Workload,
    messages: u64,
) -> std::result::Result<(), String> {
    eprintln!(
        "bench: publishing {messages} messages of {}",
        workload.feed.name()
    );
    ground.fill(workload.feed, messages).await;
    ground.prepare(workload).await;
    ours::round(ground, workload).await?;
    ground.check(workload, messages).await;
    ground.keep_rows(workload).await;
    Ok(())
}
