//! The SQL functions that show the status. They work on a standby, in a read-only transaction and
//! without the worker.

use super::row::{self, Row, object, row};
use super::shared_memory::{self, SharedStatus};
use super::state::ConnectionState;
use super::summary::{self, time};
use super::worker_status::WorkerStatus;
use crate::config;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// Returns the version of this library; the version of the SQL objects may be older after an image
/// upgrade.
#[pg_extern(immutable, parallel_safe)]
fn sr_event_writer_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Returns the state of everything as one object.
#[pg_extern]
fn sr_event_writer_status() -> JsonB {
    let status = shared_memory::snapshot();
    let overall = summary::overall(&status);
    JsonB(json!({
        "version": sr_event_writer_version(),
        "extension_version": extension_version(),
        "state": overall.state.word(),
        "reason": overall.reason,
        "since": time(overall.since),
        "nats": nats(&status),
        "breaker": breaker(&status),
        "memory_bytes": active(&status).map(|worker| worker.memory_bytes).sum::<u64>(),
        "dead_letters": dead_letters(&status),
        "streams": row::pipelines(&status).map(|shown| object(&shown)).collect::<Vec<_>>(),
    }))
}

/// Returns the version of the SQL objects in this database.
fn extension_version() -> Option<String> {
    let query = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'sr_event_writer'";
    Spi::connect(|client| {
        client
            .select(query, Some(1), &[])
            .ok()?
            .first()
            .get_one()
            .ok()?
    })
}

fn active(status: &SharedStatus) -> impl Iterator<Item = &WorkerStatus> {
    status.workers.iter().take(config::workers())
}

/// Returns the connection; with several workers, the one that is worst off.
fn nats(status: &SharedStatus) -> Value {
    let worst = active(status).max_by_key(|worker| worker.connection != ConnectionState::Connected);
    let state = worst.map(|worker| worker.connection).unwrap_or_default();
    json!({
        "state": match summary::any_silent() {
            true => "unknown",
            false => state.word(),
        },
        "server": worst.and_then(|worker| worker.server.some()),
        "reconnects": active(status).map(|worker| worker.reconnects).sum::<u64>(),
        "last_error": worst.and_then(|worker| worker.nats_error.some()),
    })
}

fn breaker(status: &SharedStatus) -> Value {
    let worst = active(status).max_by_key(|worker| worker.breaker_failures);
    let state = worst.map(|worker| worker.breaker).unwrap_or_default();
    json!({
        "state": state.word(),
        "failures": worst.map_or(0, |worker| worker.breaker_failures),
    })
}

/// Returns what dead letters take and have cost, where their size has a limit.
fn dead_letters(status: &SharedStatus) -> Option<Value> {
    let limit = config::dead_letter_max_size()?;
    let size = status.workers.first().map(|worker| worker.dead_letters)?;
    Some(json!({
        "bytes": size.bytes,
        "max_bytes": limit,
        "removed_total": size.removed,
    }))
}

/// Returns one row per pipeline; the view `sr_event_writer.stream_status` is this.
#[pg_extern]
fn sr_event_writer_stream_status() -> Rows {
    let status = shared_memory::snapshot();
    let rows: Vec<Row> = row::pipelines(&status).map(|shown| row(&shown)).collect();
    TableIterator::new(rows)
}

/// Not spelt out in the function's signature, where pgrx would want all columns once more.
type Rows = TableIterator<'static, Row>;
