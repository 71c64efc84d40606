//! The SQL functions that show the status. They also work on a standby, in a read-only transaction
//! and while no worker runs.

use super::row::{self, StatusRow, object, row};
use super::shared_memory::{self, SharedStatus};
use super::state::ConnectionState;
use super::summary::{self, time};
use super::worker_status::WorkerStatus;
use crate::config;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// Returns the version of this library. The version of the SQL objects may be older, after an
/// upgrade of the image.
#[pg_extern(immutable, parallel_safe)]
fn sr_event_writer_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Returns the state of the whole writer as one JSON object.
#[pg_extern]
fn sr_event_writer_status() -> JsonB {
    let status = shared_memory::snapshot();
    let overall = summary::overall(&status);
    JsonB(json!({
        "version": sr_event_writer_version(),
        "extension_version": extension_version(),
        "state": overall.state.as_str(),
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

/// Returns the workers that the settings ask for.
fn active(status: &SharedStatus) -> impl Iterator<Item = &WorkerStatus> {
    status.workers.iter().take(config::workers())
}

/// Returns the state of the connection, with detail and hint of the last error while it keeps the
/// connection from being made; with several workers, that of one which is not connected,
/// if there is any.
fn nats(status: &SharedStatus) -> Value {
    let worst = active(status).max_by_key(|worker| worker.connection != ConnectionState::Connected);
    let state = worst.map(|worker| worker.connection).unwrap_or_default();
    json!({
        "state": match summary::any_silent() {
            true => "unknown",
            false => state.as_str(),
        },
        "server": worst.and_then(|worker| worker.server.non_empty()),
        "reconnects": active(status).map(|worker| worker.reconnects).sum::<u64>(),
        "last_error": worst.and_then(|worker| worker.nats_error.non_empty()),
        "detail": worst.and_then(|worker| worker.nats_detail.non_empty()),
        "hint": worst.and_then(|worker| worker.nats_hint.non_empty()),
    })
}

/// Returns the circuit breaker of the worker with the most failures in a row.
fn breaker(status: &SharedStatus) -> Value {
    let worst = active(status).max_by_key(|worker| worker.breaker_failures);
    let state = worst.map(|worker| worker.breaker).unwrap_or_default();
    json!({
        "state": state.as_str(),
        "failures": worst.map_or(0, |worker| worker.breaker_failures),
    })
}

/// Returns the size of the dead letters, its limit, and how many were removed because of it; `None`
/// if there is no limit.
fn dead_letters(status: &SharedStatus) -> Option<Value> {
    let limit = config::dead_letter_max_size()?;
    let size = status.workers.first().map(|worker| worker.dead_letters)?;
    Some(json!({
        "bytes": size.bytes,
        "max_bytes": limit,
        "removed_total": size.removed,
    }))
}

/// Returns one row for each active pipeline. The view `sr_event_writer.stream_status` shows these
/// rows.
#[pg_extern]
fn sr_event_writer_stream_status() -> StatusRows {
    let status = shared_memory::snapshot();
    let rows: Vec<StatusRow> = row::pipelines(&status).map(|shown| row(&shown)).collect();
    TableIterator::new(rows)
}

/// An alias, because in the signature itself pgrx would require all columns once more.
type StatusRows = TableIterator<'static, StatusRow>;
