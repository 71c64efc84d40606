//! Workloads: the messages, the table, and the rows that it contains before a round.

use pg_test::feed::Feed;

use crate::typed::{Netflow, Shape, Telemetry};

/// Unique key of the telemetry table. `value` is the number of the message.
const TELEMETRY_KEY: &[&str] = &["timestamp", "poller_id", "metric_name", "value"];

/// One workload.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Name in `bench.json`.
    pub name: &'static str,
    /// Feed of the messages and of the table.
    pub feed: Feed,
    /// Unique key of the table; empty for none.
    pub key: &'static [&'static str],
    /// True if every fifth row is already in the table.
    pub duplicates: bool,
}

/// All workloads, in the order in which they run; those with the same stream follow each other.
pub const ALL: [Workload; 4] = [
    TELEMETRY,
    Workload {
        name: "telemetry_pk",
        feed: Feed::Telemetry,
        key: TELEMETRY_KEY,
        duplicates: false,
    },
    Workload {
        name: "telemetry_pk_dup20",
        feed: Feed::Telemetry,
        key: TELEMETRY_KEY,
        duplicates: true,
    },
    NETFLOW,
];

/// The simplest workload: telemetry without a unique key.
pub const TELEMETRY: Workload = Workload {
    name: "telemetry",
    feed: Feed::Telemetry,
    key: &[],
    duplicates: false,
};

/// Rows with a single index, on the time.
pub const NETFLOW: Workload = Workload {
    name: "netflow_json",
    feed: Feed::Netflow,
    key: &[],
    duplicates: false,
};

impl Workload {
    /// Returns the columns that a message fills, as every contender writes them.
    pub fn columns(&self) -> String {
        quoted(match self.feed {
            Feed::Netflow => Netflow::COLUMNS,
            _ => Telemetry::COLUMNS,
        })
    }

    /// Returns the unique key as SQL, or `None`.
    pub fn key(&self) -> Option<String> {
        (!self.key.is_empty()).then(|| quoted(self.key))
    }

    /// Returns the condition that holds for every fifth row.
    pub fn every_fifth(&self) -> String {
        format!("{}::bigint % 5 = 0", self.feed.marker_column())
    }

    /// Returns how many of `messages` are rows before the round.
    pub fn rows_before(&self, messages: u64) -> u64 {
        if self.duplicates {
            messages.div_ceil(5)
        } else {
            0
        }
    }
}

/// Returns a list of columns in SQL.
pub fn quoted<T: AsRef<str>>(columns: &[T]) -> String {
    let quoted: Vec<String> = columns
        .iter()
        .map(|column| format!("\"{}\"", column.as_ref()))
        .collect();
    quoted.join(", ")
}
