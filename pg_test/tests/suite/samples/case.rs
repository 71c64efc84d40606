//! A sample: a payload and the row that it becomes.

use pg_test::feed::Feed;
use serde_json::Value;

use super::compare::{HEX16, NOW};

/// One sample.
pub struct Case {
    pub name: &'static str,
    pub feed: Feed,
    pub subject: &'static str,
    pub payload: &'static str,
    /// The columns that are not NULL. None: it leaves no row of its own.
    pub row: Option<Value>,
    /// It becomes a dead letter.
    pub refused: bool,
    /// The row is what several messages make of it together.
    pub needs_table: bool,
}

impl Case {
    /// Returns true if time and ids are in the payload, so that a second one has the same key.
    pub fn is_keyed(&self) -> bool {
        let derived = |value: &Value| *value == NOW || *value == HEX16;
        let row = self.row.as_ref().and_then(Value::as_object);
        !self.refused && !row.is_some_and(|row| row.values().any(derived))
    }

    pub fn needing_the_table(mut self) -> Self {
        self.needs_table = true;
        self
    }
}

/// A column that tells the rows of the samples apart.
pub fn key(feed: Feed) -> &'static str {
    match feed {
        Feed::Telemetry => "metric_name",
        Feed::Events => "id",
        Feed::Sweep => "host_ip",
        Feed::Netflow => "src_addr",
        Feed::OtelMetrics => "span_name",
        Feed::OtelTraces => "trace_id",
        Feed::Logs => "body",
    }
}

/// A sample that becomes a row.
pub fn case(
    name: &'static str,
    feed: Feed,
    subject: &'static str,
    payload: &'static str,
    row: Value,
) -> Case {
    let row = Some(row);
    Case {
        name,
        feed,
        subject,
        payload,
        row,
        refused: false,
        needs_table: false,
    }
}

/// A sample that leaves no row of its own.
pub fn without_row(
    name: &'static str,
    feed: Feed,
    subject: &'static str,
    payload: &'static str,
    refused: bool,
) -> Case {
    Case {
        name,
        feed,
        subject,
        payload,
        row: None,
        refused,
        needs_table: true,
    }
}
