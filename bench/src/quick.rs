//! The regression guard: in under a minute, how much of the limit the extension reaches.
//!
//! Only the ratio is compared with the recorded one, and only a fall by more than a third counts,
//! because machines and their neighbours differ.

use serde_json::{Value, json};

use crate::ground::Ground;
use crate::rounds::{self, Contender};
use crate::workload::TELEMETRY;

const MESSAGES: u64 = 100_000;
const ROUNDS: usize = 5;
/// A ratio below this part of the recorded one is a regression.
const ENOUGH: f64 = 2.0 / 3.0;
const KEY: &str = "telemetry_ratio_to_limit";

/// Measures, prints, and gives the ratio.
pub async fn measure() -> Result<f64, String> {
    let ground = Ground::start().await?;
    rounds::fill(&ground, &TELEMETRY, MESSAGES).await?;
    let contenders = [Contender::Limit, Contender::Ours];
    let results = rounds::run(&ground, &TELEMETRY, &contenders, ROUNDS, MESSAGES).await?;
    for result in &results {
        let [least, median, most] = result.rate;
        println!(
            "{:<8}{median:>9.0} rows/s ({least:.0} to {most:.0}); others took {:.0} % of the machine",
            result.contender.name(),
            result.others * 100.0
        );
    }
    let ours = results.last().map_or(f64::NAN, |result| result.ratio);
    println!("ratio   {ours:>9.2}");
    Ok(ours)
}

/// Fails when the ratio is far below the recorded one.
pub async fn guard() -> Result<(), String> {
    let recorded = recorded()?;
    let ratio = measure().await?;
    println!("recorded{recorded:>9.2}");
    // NaN is not enough either.
    if ratio >= recorded * ENOUGH {
        return Ok(());
    }
    Err(format!(
        "the extension reaches {ratio:.2} of the limit, and {recorded:.2} is recorded in \
         bench/recorded.json: a fall by more than a third"
    ))
}

/// Measures, and records that.
pub async fn record() -> Result<(), String> {
    let ratio = (measure().await? * 100.0).round() / 100.0;
    let text = format!("{:#}\n", json!({ KEY: ratio }));
    std::fs::write(path(), text).map_err(|error| format!("{}: {error}", path()))
}

fn recorded() -> Result<f64, String> {
    let describe = |error: &dyn std::fmt::Display| format!("{}: {error}", path());
    let text = std::fs::read_to_string(path()).map_err(|error| describe(&error))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| describe(&error))?;
    value[KEY].as_f64().ok_or_else(|| describe(&"no ratio"))
}

fn path() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.json")
}
