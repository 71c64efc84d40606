//! The printed tables and `target/bench.json`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::decode;
use crate::latency::Latency;
use crate::limit::Cut;
use crate::rounds::{Contender, Result};

/// Everything that was measured.
pub struct Report {
    /// Results of each workload and contender.
    pub results: Vec<Result>,
    /// Latency at each rate.
    pub latency: Vec<Latency>,
    /// Decoding speed of each format.
    pub decode: Vec<decode::Rate>,
}

impl Report {
    /// Prints the tables that `docs/performance.md` explains.
    pub fn print(&self) {
        print_results(&self.results);
        println!(
            "\n{:<20}{:>9}{:>9}{:>16}",
            "messages/s", "p50 ms", "p99 ms", "look p99 ms"
        );
        for at in &self.latency {
            println!(
                "{:<20}{:>9.1}{:>9.1}{:>16.1}",
                at.rate, at.p50, at.p99, at.look_p99
            );
        }
        println!();
        print_decode(&self.decode);
    }

    /// Writes `target/bench.json`, and returns its path.
    pub fn save(&self) -> std::result::Result<PathBuf, String> {
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let path = target.join("bench.json");
        let text = format!("{:#}\n", self.json());
        std::fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        Ok(path)
    }

    fn json(&self) -> Value {
        let results: Vec<Value> = self.results.iter().map(result).collect();
        let latency: Vec<Value> = self
            .latency
            .iter()
            .map(|at| json!({"rate": at.rate, "p50_ms": tenths(at.p50), "p99_ms": tenths(at.p99)}))
            .collect();
        let decode: Vec<Value> = self
            .decode
            .iter()
            .map(|(format, rate)| {
                json!({"format": format, "messages_per_second_per_core": rate.round()})
            })
            .collect();
        json!({"results": results, "latency": latency, "decode": decode})
    }
}

/// Prints the table of formats.
pub fn print_decode(rates: &[decode::Rate]) {
    println!("{:<20}{:>24}", "format", "decoded/s per core");
    for (format, rate) in rates {
        println!("{format:<20}{rate:>24.0}");
    }
}

/// Prints the table of workloads and contenders.
pub fn print_results(results: &[Result]) {
    println!(
        "{:<20}{:<18}{:>9}{:>9}{:>9}{:>9}{:>11}{:>10}{:>9}{:>9}",
        "workload",
        "contender",
        "rows/s",
        "least",
        "most",
        "of limit",
        "CPU s/1e6",
        "NATS s",
        "peak MB",
        "others %"
    );
    let mut last = "";
    for result in results {
        let name = result.workload;
        let workload = if name == last { "" } else { name };
        last = name;
        let [least, median, most] = result.rate;
        println!(
            "{workload:<20}{:<18}{median:>9.0}{least:>9.0}{most:>9.0}{:>9.2}{:>11.1}{:>10.1}{:>9.1}{:>9.0}",
            result.contender.name(),
            result.ratio,
            result.cpu_per_million,
            result.nats_per_million,
            result.peak_mb,
            result.others * 100.0
        );
    }
    print_noise(results);
}

fn print_noise(results: &[Result]) {
    let limits = results.iter();
    for limit in limits.filter(|result| result.contender == Contender::Limit(Cut::Whole)) {
        let [least, median, most] = limit.rate;
        println!(
            "noise: the limit of {} varied by {:.0} % of its median",
            limit.workload,
            (most - least) / median * 100.0
        );
    }
    let others = results.iter().map(|result| result.others);
    if others.fold(0.0, f64::max) > 0.1 {
        println!(
            "noise: something else used the processors meanwhile (others %); these are not \
             figures to quote"
        );
    }
}

fn result(result: &Result) -> Value {
    let [least, median, most] = result.rate.map(f64::round);
    json!({
        "workload": result.workload,
        "contender": result.contender.name(),
        "rows_per_second": {"min": least, "median": median, "max": most},
        "ratio_to_limit": (result.ratio * 1000.0).round() / 1000.0,
        "cpu_seconds_per_million": tenths(result.cpu_per_million),
        "nats_cpu_seconds_per_million": tenths(result.nats_per_million),
        "peak_memory_mb": tenths(result.peak_mb),
    })
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
