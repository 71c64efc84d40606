//! Messages that no row could be made of, or that a table refuses, are kept whole with the reason,
//! in the transaction that records them as done.

use crate::pg::failure::Failure;
use async_nats::HeaderMap;
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use serde_json::{Map, Value};
use std::time::Duration;
use stream::{Headers, Message, Notice};

/// Where a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The payload could not be decoded.
    Decode,
    /// The database refused a row of it.
    Insert,
}

impl Stage {
    fn word(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Insert => "insert",
        }
    }
}

impl Letter<'_> {
    /// The same for those who listen on NATS.
    pub fn notice(&self) -> Notice {
        Notice {
            subject: self.message.subject.to_string(),
            stream: self.stream.to_owned(),
            sequence: self.message.sequence,
            headers: match &self.message.headers {
                Some(Headers::Read(headers)) => Some(headers.clone()),
                Some(Headers::Raw(_)) | None => None,
            },
            payload: self.message.payload.clone(),
            stage: self.stage.word(),
            error: self.failure.message.clone(),
        }
    }
}

/// SQLSTATE of a payload that cannot be decoded: `data_exception`.
const UNDECODABLE: &str = "22000";

/// What to say about a message besides itself.
pub struct Letter<'a> {
    /// Name of the pipeline.
    pub pipeline: &'a str,
    /// Name of its processor.
    pub processor: &'a str,
    /// JetStream stream.
    pub stream: &'a str,
    /// The message.
    pub message: &'a Message,
    /// Why and where.
    pub stage: Stage,
    /// What was wrong.
    pub failure: &'a Failure,
}

/// What a decoder's refusal is as a failure.
pub fn undecodable(reject: &decode::Reject) -> Failure {
    Failure::new(UNDECODABLE, reject.to_string())
}

/// Keeps one message. Inside the transaction that records it as done.
///
/// # Errors
/// What the database says.
pub fn keep(letter: &Letter<'_>) -> Result<(), Failure> {
    let query = "INSERT INTO sr_event_writer.dead_letter
            (stream, subject, sequence, delivered, published_at, headers, payload,
             processor, stage, sqlstate, error, nats_stream, raw_headers)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let message = letter.message;
    let published = TimestampWithTimeZone::try_from(message.published.postgres_micros()).ok();
    let (read, raw) = match &message.headers {
        Some(Headers::Read(read)) => (Some(headers(read)), None),
        Some(Headers::Raw(raw)) => (None, Some(raw.as_ref())),
        None => (None, None),
    };
    let args = [
        letter.pipeline.into(),
        without_nul(&message.subject).into(),
        i64::try_from(message.sequence).ok().into(),
        message.delivered.into(),
        published.into(),
        read.into(),
        message.payload.as_ref().into(),
        letter.processor.into(),
        letter.stage.word().into(),
        letter.failure.sqlstate.as_str().into(),
        without_nul(&letter.failure.message).into(),
        letter.stream.into(),
        raw.into(),
    ];
    Spi::connect_mut(|client| client.update(query, None, &args).map(drop))?;
    Ok(())
}

/// Dead letters that one transaction removes because of their age …
const REMOVED_AT_ONCE: usize = 10_000;
/// … or for want of room …
const OLDEST_AT_ONCE: usize = 1_000;
/// … and then bytes of them: large ones are many rows of a TOAST table.
const BYTES_AT_ONCE: u64 = 32 << 20;

/// Bytes that a letter takes, without a look at what lies in the TOAST table.
const SIZE: &str = "(200 + coalesce(pg_column_size(payload), 0) + coalesce(pg_column_size(headers), 0)
    + coalesce(pg_column_size(raw_headers), 0) + coalesce(pg_column_size(error), 0))::pg_catalog.int8";

/// What an expiry has left to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Nothing that is old enough.
    All,
    /// Perhaps some: the transaction had removed enough.
    Some,
}

/// Removes dead letters that are older than `age`, some at a time, but for those that a session is
/// replaying: the worker does not wait for it.
///
/// # Errors
/// What the database says.
pub fn expire(age: Duration) -> Result<Removed, Failure> {
    let query = format!(
        "DELETE FROM sr_event_writer.dead_letter WHERE id IN (
            SELECT id FROM sr_event_writer.dead_letter
            WHERE received_at < pg_catalog.now() - pg_catalog.make_interval(secs => $1)
            ORDER BY id LIMIT {REMOVED_AT_ONCE} FOR UPDATE SKIP LOCKED)"
    );
    let args = [age.as_secs_f64().into()];
    let removed = Spi::connect_mut(|client| {
        client
            .update(query.as_str(), None, &args)
            .map(|table| table.len())
    })?;
    Ok(match removed < REMOVED_AT_ONCE {
        true => Removed::All,
        false => Removed::Some,
    })
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Freed {
    /// Dead letters.
    pub letters: u64,
    /// Bytes that they took.
    pub bytes: u64,
}

/// Removes the oldest dead letters until `bytes` are free, some at a time, and passes over those that a
/// session is replaying.
///
/// # Errors
/// What the database says.
pub fn remove_oldest(bytes: u64) -> Result<Freed, Failure> {
    let query = format!(
        "WITH oldest AS (
            SELECT id, {SIZE} AS size FROM sr_event_writer.dead_letter
            ORDER BY id LIMIT {OLDEST_AT_ONCE} FOR UPDATE SKIP LOCKED
        ), enough AS (
            SELECT id, size, sum(size) OVER (ORDER BY id) - size AS before FROM oldest
        ), removed AS (
            DELETE FROM sr_event_writer.dead_letter letter USING enough
            WHERE letter.id = enough.id AND enough.before < $1 RETURNING enough.size
        )
        SELECT count(*), coalesce(sum(size), 0)::pg_catalog.int8 FROM removed"
    );
    let bytes = i64::try_from(bytes.min(BYTES_AT_ONCE)).unwrap_or(i64::MAX);
    let (letters, bytes) = Spi::connect_mut(|client| {
        client
            .update(query.as_str(), None, &[bytes.into()])?
            .first()
            .get_two::<i64, i64>()
    })?;
    let count = |found: Option<i64>| found.unwrap_or_default().unsigned_abs();
    Ok(Freed {
        letters: count(letters),
        bytes: count(bytes),
    })
}

/// Bytes that all dead letters take. Dead rows are not among them: DELETE makes no table smaller.
///
/// # Errors
/// What the database says.
pub fn size() -> Result<u64, Failure> {
    let query = format!(
        "SELECT coalesce(sum({SIZE}), 0)::pg_catalog.int8 FROM sr_event_writer.dead_letter"
    );
    let bytes: Option<i64> = Spi::connect(|client| {
        client
            .select(query.as_str(), Some(1), &[])?
            .first()
            .get_one()
    })?;
    Ok(bytes.unwrap_or_default().unsigned_abs())
}

/// Headers as an object of arrays, since a name may occur more than once.
fn headers(headers: &HeaderMap) -> JsonB {
    let entries = headers.iter().map(|(name, values)| {
        let values = values
            .iter()
            .map(|v| Value::String(without_nul(v.as_str())))
            .collect();
        (without_nul(name.as_ref()), Value::Array(values))
    });
    JsonB(Value::Object(entries.collect::<Map<_, _>>()))
}

/// PostgreSQL's text holds every character but U+0000.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
