//! Measures whether the cost of a row depends on the number of pending messages and of chunks. One
//! COPY of the same rows is also measured, because the indexes of a larger table cost every writer
//! more.

use pg_test::messages::Generator;

use crate::fixture::{Chunks, Fixture};
use crate::limit::Cut;
use crate::rounds::{self, Contender};
use crate::workload::{self, Workload};

const CONTENDERS: [Contender; 2] = [Contender::Limit(Cut::Whole), Contender::Ours];
const WAITING: [u64; 3] = [100_000, 1_000_000, 5_000_000];
/// Numbers of chunks, each of a week.
const CHUNKS: [u64; 3] = [1, 10, 60];
const MESSAGES: u64 = 300_000;
const ROUNDS: usize = 3;

/// The order of the messages, which decides the chunks that the rows of one batch fall into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// One or two chunks: the messages are in order of time, as in a backlog.
    Time,
    /// All chunks: neighbouring messages fall into different ones.
    Mixed,
}

impl Order {
    fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Mixed => "mixed",
        }
    }

    fn generator(self, chunks: u64) -> Generator {
        match self {
            Self::Time if chunks == 1 => Generator::new(1),
            Self::Time => Generator::new(1).since_weeks(chunks, MESSAGES),
            Self::Mixed => Generator::new(1).over_weeks(chunks),
        }
    }
}

/// Measures and prints the costs.
pub async fn measure() -> Result<(), String> {
    let mut fixture = Fixture::start().await?;
    println!(
        "{:<20}{:>10}{:>8}{:>7}{:>12}{:>12}{:>12}{:>12}{:>9}",
        "workload",
        "waiting",
        "chunks",
        "order",
        "limit s/1e6",
        "ours s/1e6",
        "CPU limit",
        "CPU ours",
        "peak MB"
    );
    for workload in [workload::TELEMETRY, workload::NETFLOW] {
        for waiting in WAITING {
            // A large one is already a mean over many batches.
            let rounds = if waiting > MESSAGES { 1 } else { ROUNDS };
            one(&mut fixture, &workload, waiting, (1, Order::Time), rounds).await?;
        }
        for chunks in CHUNKS {
            for order in [Order::Time, Order::Mixed] {
                if (chunks, order) != (1, Order::Mixed) {
                    one(&mut fixture, &workload, MESSAGES, (chunks, order), ROUNDS).await?;
                }
            }
        }
    }
    Ok(())
}

async fn one(
    fixture: &mut Fixture,
    workload: &Workload,
    messages: u64,
    (chunks, order): (u64, Order),
    rounds: usize,
) -> Result<(), String> {
    fixture.generator = order.generator(chunks);
    fixture.chunks = Chunks::New;
    rounds::fill(fixture, workload, messages).await?;
    // The time to create sixty chunks is that of writing a hundred thousand rows.
    fixture.chunks = Chunks::Kept;
    let run = rounds::run(fixture, workload, &CONTENDERS, rounds, messages);
    let results = run.await?;
    let [limit, ours] = results.as_slice() else {
        return Err("two contenders have two results".to_owned());
    };
    println!(
        "{:<20}{messages:>10}{chunks:>8}{:>7}{:>12.2}{:>12.2}{:>12.2}{:>12.2}{:>9.0}",
        workload.name,
        order.name(),
        1e6 / limit.rate[1],
        1e6 / ours.rate[1],
        limit.cpu_per_million,
        ours.cpu_per_million,
        ours.peak_mb
    );
    Ok(())
}
