//! Workloads: the messages, the table, and the rows that it has before.

use pg_test::feed::Feed;

use crate::typed::{Netflow, Shape, Telemetry};

/// Key of the telemetry table. `value` is the number of the message.
const TELEMETRY_KEY: &[&str] = &["timestamp", "poller_id", "metric_name", "value"];

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its name in `bench.json`.
    pub name: &'static str,
    /// The feed of the messages and of the table.
    pub feed: Feed,
    /// Unique key of the table; empty for none.
    pub key: &'static [&'static str],
    /// True if every fifth row is already in the table.
    pub duplicates: bool,
}

/// All, in the order in which they run; those of one stream are neighbours.
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

/// The plainest.
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
    /// The columns that a message fills, as every contender writes them.
    pub fn columns(&self) -> String {
        quoted(match self.feed {
            Feed::Netflow => Netflow::COLUMNS,
            _ => Telemetry::COLUMNS,
        })
    }

    /// The unique key, as SQL.
    pub fn key(&self) -> Option<String> {
        (!self.key.is_empty()).then(|| quoted(self.key))
    }

    /// The condition that holds for every fifth row.
    pub fn every_fifth(&self) -> String {
        format!("{}::bigint % 5 = 0", self.feed.marker_column())
    }

    /// Number of `messages` that are rows before the round.
    pub fn rows_before(&self, messages: u64) -> u64 {
        if self.duplicates {
            messages.div_ceil(5)
        } else {
            0
        }
    }
}

/// Columns as a list in SQL.
pub fn quoted<T: AsRef<str>>(columns: &[T]) -> String {
    let quoted: Vec<String> = columns
        .iter()
        .map(|column| format!("\"{}\"", column.as_ref()))
        .collect();
    quoted.join(", ")
}
