//! The regression guard: measures in under a minute which part of the limit the extension reaches.
//!
//! It compares only this ratio with the recorded one, and fails only if it fell by more than a
//! third, because machines and their load differ.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::limit::Cut;
use crate::rounds::{self, Contender};
use crate::workload::TELEMETRY;

const MESSAGES: u64 = 100_000;
const ROUNDS: usize = 5;
/// A ratio below this part of the recorded one is a regression.
const ENOUGH: f64 = 2.0 / 3.0;
const KEY: &str = "telemetry_ratio_to_limit";

/// Measures and prints the figures.
pub async fn show() -> Result<(), String> {
    measure(&prepared().await?).await.map(drop)
}

/// Fails if the ratio is far below the recorded one twice in a row; other load may be the cause
/// once.
pub async fn guard() -> Result<(), String> {
    let recorded = recorded()?;
    println!("recorded{recorded:>9.2}");
    let fixture = prepared().await?;
    let mut ratio = measure(&fixture).await?;
    if ratio < recorded * ENOUGH {
        ratio = ratio.max(measure(&fixture).await?);
    }
    // Written so that NaN fails as well.
    if ratio >= recorded * ENOUGH {
        return Ok(());
    }
    Err(format!(
        "the extension reaches {ratio:.2} of the limit, and {recorded:.2} is recorded in \
         bench/recorded.json: a fall by more than a third"
    ))
}

/// Measures, and records the ratio.
pub async fn record() -> Result<(), String> {
    let ratio = measure(&prepared().await?).await?;
    let text = format!("{:#}\n", json!({ KEY: (ratio * 100.0).round() / 100.0 }));
    std::fs::write(path(), text).map_err(|error| format!("{}: {error}", path()))
}

async fn prepared() -> Result<Fixture, String> {
    let fixture = Fixture::start().await?;
    rounds::fill(&fixture, &TELEMETRY, MESSAGES).await?;
    Ok(fixture)
}

/// Measures, prints the figures, and returns the ratio.
async fn measure(fixture: &Fixture) -> Result<f64, String> {
    let contenders = [Contender::Limit(Cut::Whole), Contender::Ours];
    let results = rounds::run(fixture, &TELEMETRY, &contenders, ROUNDS, MESSAGES).await?;
    for result in &results {
        let [least, median, most] = result.rate;
        println!(
            "{:<8}{median:>9.0} rows/s ({least:.0} to {most:.0}); others took {:.0} % of the machine",
            result.contender.name(),
            result.others * 100.0
        );
    }
    let ratio = results.last().map_or(f64::NAN, |result| result.ratio);
    println!("ratio   {ratio:>9.2}");
    Ok(ratio)
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
