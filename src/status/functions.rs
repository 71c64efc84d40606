//! The SQL functions that show the page. They work on a standby, in a read-only transaction and
//! without the worker.

use super::page::{self, Page};
use super::report::{self, Stream, bigint, time};
use crate::config;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// Version of this library; the version of the SQL objects may be older after an image upgrade.
#[pg_extern(immutable, parallel_safe)]
fn sr_event_writer_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Everything at a glance.
#[pg_extern]
fn sr_event_writer_status() -> JsonB {
    let page = page::snapshot();
    let overall = report::overall(&page);
    JsonB(json!({
        "version": sr_event_writer_version(),
        "extension_version": extension_version(),
        "state": overall.state.word(),
        "reason": overall.reason,
        "since": time(overall.since),
        "nats": nats(&page),
        "breaker": breaker(&page),
        "memory_bytes": active(&page).map(|worker| worker.memory).sum::<u64>(),
        "dead_letters": dead_letters(&page),
        "streams": report::streams(&page).map(stream_object).collect::<Vec<_>>(),
    }))
}

/// Version of the SQL objects in this database.
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

fn active(page: &Page) -> impl Iterator<Item = &page::WorkerPage> {
    page.workers.iter().take(config::workers())
}

/// The connection; with several workers, that of the one that is worst off.
fn nats(page: &Page) -> Value {
    let worst = active(page).max_by_key(|worker| worker.nats.get() != "connected");
    let state = worst.and_then(|worker| worker.nats.some());
    json!({
        "state": match report::any_silent() {
            true => "unknown".to_owned(),
            false => state.unwrap_or_else(|| "disconnected".to_owned()),
        },
        "server": worst.and_then(|worker| worker.server.some()),
        "reconnects": active(page).map(|worker| worker.reconnects).sum::<u64>(),
        "last_error": worst.and_then(|worker| worker.nats_error.some()),
    })
}

fn breaker(page: &Page) -> Value {
    let worst = active(page).max_by_key(|worker| worker.breaker_failures);
    let state = worst.and_then(|worker| worker.breaker.some());
    json!({
        "state": state.unwrap_or_else(|| "closed".to_owned()),
        "failures": worst.map_or(0, |worker| worker.breaker_failures),
    })
}

/// Where their size has a limit: what they take, and how many it has cost.
fn dead_letters(page: &Page) -> Option<Value> {
    let limit = config::dead_letter_max_size()?;
    let letters = page.workers.first().map(|worker| worker.letters)?;
    Some(json!({
        "bytes": letters.bytes,
        "max_bytes": limit,
        "removed_total": letters.removed,
    }))
}

fn stream_object(shown: Stream<'_>) -> Value {
    let stream = shown.page;
    let counters = &stream.counters;
    json!({
        "name": stream.name.get(),
        "processor": stream.processor.get(),
        "table": stream.table.get(),
        "nats_stream": stream.nats_stream.some(),
        "consumer": stream.consumer.get(),
        "state": shown.state().word(),
        "detail": shown.detail(),
        "last_sequence": stream.last_sequence,
        "pending": shown.pending(),
        "lag_seconds": shown.lag_seconds(),
        "ack_pending": stream.ack_pending,
        "messages_total": counters.messages,
        "rows_total": counters.rows,
        "bytes_total": counters.bytes,
        "batches_total": counters.batches,
        "redelivered_total": counters.redelivered,
        "duplicates_skipped_total": counters.duplicates_skipped,
        "dead_letters_total": counters.dead_letters,
        "retries_total": counters.retries,
        "batch_ms_mean": stream.latency.mean_ms(),
        "batch_ms_p99": stream.latency.p99_ms(),
        "last_commit_at": time(stream.last_commit_at),
        "last_error": stream.last_error.some(),
        "last_error_at": time(stream.last_error_at),
    })
}

/// One row per pipeline; the view `sr_event_writer.stream_status` is this.
#[pg_extern]
#[allow(clippy::type_complexity, reason = "the columns of the view, in order")]
fn sr_event_writer_stream_status() -> TableIterator<
    'static,
    (
        name!(name, String),
        name!(processor, String),
        name!(table, String),
        name!(nats_stream, Option<String>),
        name!(consumer, String),
        name!(state, &'static str),
        name!(detail, Option<String>),
        name!(last_sequence, i64),
        name!(pending, Option<i64>),
        name!(lag_seconds, Option<f64>),
        name!(ack_pending, i64),
        name!(messages_total, i64),
        name!(rows_total, i64),
        name!(bytes_total, i64),
        name!(batches_total, i64),
        name!(redelivered_total, i64),
        name!(duplicates_skipped_total, i64),
        name!(dead_letters_total, i64),
        name!(retries_total, i64),
        name!(batch_ms_mean, Option<f64>),
        name!(batch_ms_p99, Option<f64>),
        name!(last_commit_at, Option<TimestampWithTimeZone>),
        name!(last_error, Option<String>),
        name!(last_error_at, Option<TimestampWithTimeZone>),
    ),
> {
    let page = page::snapshot();
    let rows = report::streams(&page).map(|shown| {
        let stream = shown.page;
        let counters = &stream.counters;
        (
            stream.name.get().to_owned(),
            stream.processor.get().to_owned(),
            stream.table.get().to_owned(),
            stream.nats_stream.some(),
            stream.consumer.get().to_owned(),
            shown.state().word(),
            shown.detail(),
            bigint(stream.last_sequence),
            shown.pending().map(bigint),
            shown.lag_seconds(),
            bigint(stream.ack_pending),
            bigint(counters.messages),
            bigint(counters.rows),
            bigint(counters.bytes),
            bigint(counters.batches),
            bigint(counters.redelivered),
            bigint(counters.duplicates_skipped),
            bigint(counters.dead_letters),
            bigint(counters.retries),
            stream.latency.mean_ms(),
            stream.latency.p99_ms(),
            time(stream.last_commit_at),
            stream.last_error.some(),
            time(stream.last_error_at),
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}
