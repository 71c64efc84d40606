//! Runs the contenders in turn, on each workload.

use std::collections::HashSet;

use crate::external::{self, Kind};
use crate::fixture::Fixture;
use crate::limit::Cut;
use crate::measure::{self, Round};
use crate::workload::Workload;
use crate::{limit, ours};

/// A contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// COPY on the server, the limit.
    Limit(Cut),
    /// The extension.
    Ours,
    /// An external process.
    External(Kind),
}

impl Contender {
    /// All contenders.
    pub const ALL: [Self; 8] = [
        Self::Limit(Cut::Whole),
        Self::Limit(Cut::Halves),
        Self::Limit(Cut::Pieces),
        Self::Ours,
        Self::External(Kind::CopyTuned),
        Self::External(Kind::Copy),
        Self::External(Kind::Insert),
        Self::External(Kind::ReadOnly),
    ];

    /// Returns whether it takes part in a workload. With duplicates, rows are kept in files only
    /// for the whole COPY: the missing ones.
    fn takes_part(self, workload: &Workload) -> bool {
        !workload.duplicates || !matches!(self, Self::Limit(Cut::Halves | Cut::Pieces))
    }

    /// Returns whether it writes rows.
    fn writes(self) -> bool {
        self != Self::External(Kind::ReadOnly)
    }

    /// Returns the contender with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Returns its name in `bench.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit(Cut::Whole) => "limit",
            Self::Limit(Cut::Halves) => "limit-2",
            Self::Limit(Cut::Pieces) => "limit-5000",
            Self::Ours => "ours",
            Self::External(Kind::CopyTuned) => "copy-writer-tuned",
            Self::External(Kind::Copy) => "copy-writer",
            Self::External(Kind::Insert) => "insert-writer",
            Self::External(Kind::ReadOnly) => "read-only",
        }
    }
}

/// The result of several rounds of a contender.
#[derive(Debug, Clone)]
pub struct Result {
    /// Name of the workload.
    pub workload: &'static str,
    /// The contender.
    pub contender: Contender,
    /// Messages per second that became rows or were rows before: minimum, median, maximum.
    pub rate: [f64; 3],
    /// Median rate, as a part of the limit's median rate.
    pub ratio: f64,
    /// Median of the processor seconds per million messages.
    pub cpu_per_million: f64,
    /// Median of nats-server's processor seconds per million messages.
    pub nats_per_million: f64,
    /// Largest private memory of the writing process, in megabytes.
    pub peak_mb: f64,
    /// Median part (0 to 1) of the machine's processor time that other processes used.
    pub others: f64,
}

/// Runs `rounds` rounds of the contenders. The messages are in the stream already.
pub async fn run(
    fixture: &Fixture,
    workload: &Workload,
    contenders: &[Contender],
    rounds: usize,
    messages: u64,
) -> std::result::Result<Vec<Result>, String> {
    let contenders: Vec<Contender> = contenders
        .iter()
        .copied()
        .filter(|contender| contender.takes_part(workload))
        .collect();
    let mut figures: Vec<Vec<(Round, u64)>> = vec![Vec::new(); contenders.len()];
    let mut fingerprints = HashSet::new();
    for number in 0..rounds {
        for place in 0..contenders.len() {
            // Each round begins with another contender, so that none is always the first.
            let which = (place + number) % contenders.len();
            let contender = contenders[which];
            fixture.prepare(workload).await;
            let done = match contender {
                Contender::Limit(cut) => limit::round(fixture, workload, cut, messages).await?,
                Contender::Ours => (ours::round(fixture, workload, messages).await?, messages),
                Contender::External(kind) => {
                    let round = external::round(fixture, kind, workload, messages).await?;
                    (round, messages)
                }
            };
            if contender.writes() {
                fixture.check(workload, messages).await;
            }
            if number == 0 && contender.writes() {
                fingerprints.insert(fixture.fingerprint(workload).await);
                assert_eq!(fingerprints.len(), 1, "{contender:?} wrote other rows");
            }
            eprintln!(
                "bench: {:<20}{:<18}round {}: {:>8.0} rows/s",
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
        .find(|result| result.contender == Contender::Limit(Cut::Whole))
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
    let nats = rounds
        .iter()
        .map(|(round, rows)| round.nats * 1e6 / *rows as f64);
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
        nats_per_million: measure::median(nats),
        peak_mb: peak.unwrap_or(0) as f64 / 1e6,
        others: measure::median(rounds.iter().map(|(round, _)| round.others)),
    }
}

/// Fills the stream, and keeps its rows for the limit. The extension writes them in an untimed
/// round, which also warms up everything. The first timed round checks that all contenders write
/// the same rows.
pub async fn fill(
    fixture: &Fixture,
    workload: &Workload,
    messages: u64,
) -> std::result::Result<(), String> {
    eprintln!(
        "bench: publishing {messages} messages of {}",
        workload.feed.name()
    );
    fixture.fill(workload.feed, messages).await;
    fixture.prepare(workload).await;
    ours::round(fixture, workload, messages).await?;
    fixture.check(workload, messages).await;
    fixture.keep_rows(workload, messages).await;
    Ok(())
}
