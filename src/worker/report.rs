//! Copies the worker's state into shared memory, where all sessions can read it, and writes a line
//! to the server log for each change of state.

use super::ack_queue::PendingAcks;
use super::breaker::Breaker;
use super::explanation::{self, Cause, Explained};
use super::pipeline::{Pipeline, WriteReport, configured_table};
use crate::config::{ParseError, PipelineConfig};
use crate::pg::clock::now;
use crate::pg::message;
use crate::status::{self, ConnectionState, PipelineStatus, Slot, State};
use nats::{Connection, Connectivity, Nats, Settings};
use pgrx::prelude::*;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Reports that worker `number` is about to connect to its database. If that fails, the process
/// ends, so only shared memory can tell the next process that an attempt has failed.
pub fn connecting(number: usize, database: &str) {
    let connecting = format!("connecting to database \"{database}\"");
    let failed = format!(
        "cannot connect to database \"{database}\" (sr_event_writer.database); the server log says why; trying again every second"
    );
    status::update_worker(number, |worker| {
        let again = worker.reason.get() == connecting || worker.reason.get() == failed;
        worker.state = State::Starting;
        worker.reason.set(if again { &failed } else { &connecting });
        worker.since = now();
    });
}

/// Reports the state of worker `number`, and logs it if it has changed.
pub fn worker_state(number: usize, explained: &Explained) {
    let (state, reason) = (explained.state, explained.reason.as_str());
    let mut log_it = false;
    status::update_worker(number, |worker| {
        if !explained.is_same(worker.state, worker.reason.get()) {
            log_it = true;
            worker.state = state;
            worker.since = now();
        }
        worker.reason.set(reason);
    });
    if log_it {
        log_worker_state(explained);
    }
}

/// Writes a line to the server log. If the connection is at fault, it stands for all pipelines.
fn log_worker_state(explained: &Explained) {
    let state = explained.state.as_str();
    let Cause::Connection(Some(problem)) = &explained.cause else {
        log!("sr_event_writer: {state}{}", colon(&explained.reason));
        return;
    };
    let text = format!("{state}: NATS is not connected: {}", problem.message);
    log_warning(text, problem.detail.as_deref(), problem.hint.as_deref());
}

/// Logs the permissions that the NATS server has refused since the last call.
pub fn refusals(connection: &Connection) {
    for refusal in connection.new_refusals() {
        let text = format!("NATS: {}", refusal.message);
        log_warning(text, None, Some(&refusal.hint));
    }
}

/// Writes a warning with DETAIL and HINT to the server log.
fn log_warning(text: String, detail: Option<&str>, hint: Option<&str>) {
    let text = format!("sr_event_writer: {text}");
    let sqlstate = PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE;
    message::send(PgLogLevel::WARNING, sqlstate, text, detail, hint);
}

/// Reports the connection, the breaker, and the bytes of messages in memory.
pub fn worker_figures(number: usize, nats: Option<&Nats>, breaker: &Breaker) {
    status::update_worker(number, |worker| {
        worker.breaker = breaker.state(Instant::now());
        worker.breaker_failures = breaker.failures();
        let Some(nats) = nats else {
            worker.connection = ConnectionState::Disconnected;
            worker.server.set("");
            worker.memory_bytes = 0;
            worker.nats_detail.set("");
            worker.nats_hint.set("");
            return;
        };
        let connection = nats.connection();
        worker.connection = match connection.connectivity() {
            Connectivity::Connected => ConnectionState::Connected,
            Connectivity::LameDuck => ConnectionState::LameDuck,
            Connectivity::Disconnected => ConnectionState::Disconnected,
        };
        worker.server.set(&connection.server().unwrap_or_default());
        worker.reconnects = connection.reconnects();
        worker
            .nats_error
            .set(&connection.last_error().unwrap_or_default());
        let detail = connection.problem().and_then(|problem| problem.detail);
        worker.nats_detail.set(&detail.unwrap_or_default());
        worker
            .nats_hint
            .set(&connection.last_hint().unwrap_or_default());
        worker.memory_bytes = nats.memory_in_use() as u64;
    });
}

/// Reports a pipeline that is not running.
pub fn idle_pipeline(
    (slot, config): (Slot, &PipelineConfig),
    settings: &Settings,
    state: State,
    detail: &str,
) {
    status::update_pipeline(slot, |status| {
        describe(status, config, settings);
        status.table.set(&configured_table(config));
        status.state = state;
        status.detail.set(detail);
        status.logged.state = state;
        status.logged.detail.set(detail);
        status.pending = 0;
        status.ack_pending = 0;
    });
}

/// Reports a pipeline whose definition is refused, and logs that if it is new.
pub fn refused_pipeline(slot: Slot, name: &str, reason: &ParseError) {
    let reason = reason.to_string();
    if misconfigured_pipeline(slot, name, &reason) {
        let state = State::Misconfigured.as_str();
        pipeline_warning!(name, "{state}: {reason}");
    }
}

/// Reports that a pipeline cannot run as the settings are. Returns whether that is new.
pub fn misconfigured_pipeline(slot: Slot, name: &str, reason: &str) -> bool {
    let mut is_new = false;
    status::update_pipeline(slot, |status| {
        is_new = status.state != State::Misconfigured || status.detail.get() != reason;
        status.forget_settings();
        status.name.set(name);
        status.state = State::Misconfigured;
        status.detail.set(reason);
    });
    is_new
}

/// Reports a pipeline, and logs its state if that has changed. A state that is the connection's
/// fault is logged once, by the worker; one on the way to another is not logged.
pub fn pipeline(
    pipeline: &Pipeline,
    settings: &Settings,
    connection: &Connection,
    acks: &PendingAcks,
) {
    let explained = explanation::of_pipeline(pipeline, connection, acks);
    let (state, detail) = (explained.state, explained.reason.as_str());
    let mut log_it = false;
    status::update_pipeline(pipeline.slot, |status| {
        let logged = &mut status.logged;
        if explained.cause == Cause::Own && !explained.is_same(logged.state, logged.detail.get()) {
            log_it = true;
            logged.state = state;
            logged.detail.set(detail);
        }
        describe(status, &pipeline.config, settings);
        status.table.set(pipeline.writer.table());
        status.state = state;
        status.detail.set(detail);
        show_position(status, pipeline);
        let nats_state = pipeline.subscription.state();
        let in_memory = nats_state.in_memory.load(Ordering::Relaxed);
        status.pending = nats_state.pending.load(Ordering::Relaxed) + in_memory;
        status.ack_pending = nats_state.ack_pending.load(Ordering::Relaxed);
        let counters = &mut status.counters;
        counters.redelivered += nats_state.redelivered.swap(0, Ordering::Relaxed);
        counters.duplicates_skipped += nats_state.duplicates_in_flight.swap(0, Ordering::Relaxed);
    });
    if log_it {
        let name = &pipeline.config.nats.name;
        let text = format!("{}{}", state.as_str(), colon(detail));
        match state {
            State::Degraded | State::Paused => pipeline_warning!(name, "{text}"),
            _ => pipeline_log!(name, "{text}"),
        }
    }
}

/// Reports a pipeline's position without delay, because it may have gone back.
pub fn position(pipeline: &Pipeline) {
    status::update_pipeline(pipeline.slot, |status| show_position(status, pipeline));
}

/// Reports the stream and the position of a pipeline.
fn show_position(status: &mut PipelineStatus, pipeline: &Pipeline) {
    if let Some((stream_id, position)) = pipeline.position() {
        status.nats_stream.set(&stream_id.name);
        status.stream_created = stream_id.created.postgres_micros();
        status.floor = position.floor();
        status.last_sequence = position.last();
    }
}

/// Adds the result of one turn to a pipeline's figures. Called right after the commit, because
/// sessions wait for the position.
pub fn written(pipeline: &Pipeline, report: &WriteReport) {
    status::update_pipeline(pipeline.slot, |status| {
        show_position(status, pipeline);
        let counters = &mut status.counters;
        counters.messages += report.written.messages;
        counters.rows += report.written.rows;
        counters.bytes += report.bytes;
        counters.dead_letters += report.written.dead_letters.len() as u64;
        counters.duplicates_skipped += report.duplicates;
        if report.written.messages > 0 {
            counters.batches += 1;
            status.latency.add(report.took);
            status.last_commit_at = now();
        }
        if let Some(newest) = report.newest {
            status.last_published = status.last_published.max(newest.postgres_micros());
        }
        if let Some(failure) = &report.failure {
            counters.retries += 1;
            status.last_error.set(&failure.to_string());
            status.last_error_at = now();
        }
    });
}

/// Reports the settings of a pipeline.
fn describe(status: &mut PipelineStatus, config: &PipelineConfig, settings: &Settings) {
    let nats = &config.nats;
    status.name.set(&nats.name);
    status.processor.set(nats.format.name());
    status.consumer.set(&nats.consumer_name(settings));
    if let Some(name) = &nats.stream {
        status.nats_stream.set(name);
    }
}

/// Returns the text after a colon, or nothing if it is empty.
fn colon(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(": {detail}")
    }
}
