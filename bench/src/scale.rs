//! Whether a row costs the same however many messages wait and however many chunks a batch touches.
//! One COPY of the same rows stands beside it: the indexes of a larger table cost more, and that is
//! nobody's doing here.

use pg_test::messages::Generator;

use crate::ground::Ground;
use crate::rounds::{self, Contender};
use crate::workload::{self, Workload};

const CONTENDERS: [Contender; 2] = [Contender::Limit, Contender::Ours];
const WAITING: [u64; 3] = [100_000, 1_000_000, 5_000_000];
/// Neighbouring messages fall into different chunks of a week each, so every batch touches all.
const CHUNKS: [u64; 3] = [1, 10, 60];
const MESSAGES: u64 = 300_000;
const ROUNDS: usize = 3;

/// Measures and prints.
pub async fn measure() -> Result<(), String> {
    let mut ground = Ground::start().await?;
    println!(
        "{:<20}{:>10}{:>8}{:>12}{:>12}{:>12}{:>12}{:>9}",
        "workload",
        "waiting",
        "chunks",
        "limit s/1e6",
        "ours s/1e6",
        "CPU limit",
        "CPU ours",
        "peak MB"
    );
    for workload in [workload::TELEMETRY, workload::NETFLOW] {
        for waiting in WAITING {
            // A large one is a mean over many batches as it is.
            let rounds = if waiting > MESSAGES { 1 } else { ROUNDS };
            one(&ground, &workload, waiting, 1, rounds).await?;
        }
        for chunks in CHUNKS {
            ground.generator = Generator::new(1).over_weeks(chunks);
            one(&ground, &workload, MESSAGES, chunks, ROUNDS).await?;
        }
        ground.generator = Generator::new(1);
    }
    Ok(())
}

async fn one(
    ground: &Ground,
    workload: &Workload,
    messages: u64,
    chunks: u64,
    rounds: usize,
) -> Result<(), String> {
    rounds::fill(ground, workload, messages).await?;
    let run = rounds::run(ground, workload, &CONTENDERS, rounds, messages);
    let results = run.await?;
    let [limit, ours] = results.as_slice() else {
        return Err("two contenders have two results".to_owned());
    };
    println!(
        "{:<20}{messages:>10}{chunks:>8}{:>12.2}{:>12.2}{:>12.2}{:>12.2}{:>9.0}",
        workload.name,
        1e6 / limit.rate[1],
        1e6 / ours.rate[1],
        limit.cpu_per_million,
        ours.cpu_per_million,
        ours.peak_mb
    );
    Ok(())
}
