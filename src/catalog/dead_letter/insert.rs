//! Writes dead letters, in the transaction that records their messages.

use crate::pg::failure::Failure;
use async_nats::HeaderMap;
use nats::{DeadLetterMessage, FetchedMessage, Headers};
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use serde_json::{Map, Value};

/// The stage at which a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The payload could not be decoded.
    Decode,
    /// The database refused one of its rows.
    Insert,
}

impl Stage {
    /// Returns the stage as it is stored in the table.
    fn as_str(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Insert => "insert",
        }
    }
}

/// A dead letter to write: a message and the reason.
pub struct NewDeadLetter<'a> {
    /// Name of the pipeline.
    pub pipeline: &'a str,
    /// Name of the pipeline's format.
    pub processor: &'a str,
    /// Name of the JetStream stream.
    pub stream: &'a str,
    /// The message.
    pub message: &'a FetchedMessage,
    /// Stage at which it failed.
    pub stage: Stage,
    /// The reason.
    pub failure: &'a Failure,
}

impl NewDeadLetter<'_> {
    /// Returns the dead letter as a message to publish on NATS.
    pub fn to_message(&self) -> DeadLetterMessage {
        DeadLetterMessage {
            subject: self.message.subject.to_string(),
            stream: self.stream.to_owned(),
            sequence: self.message.sequence,
            headers: match &self.message.headers {
                Some(Headers::Parsed(headers)) => Some(headers.clone()),
                Some(Headers::Raw(_)) | None => None,
            },
            payload: self.message.payload.clone(),
            stage: self.stage.as_str(),
            error: self.failure.text(),
        }
    }
}

/// Writes one dead letter. Inside the transaction that records the message.
pub fn insert(dead_letter: &NewDeadLetter<'_>) -> Result<(), Failure> {
    let query = "INSERT INTO sr_event_writer.dead_letter
            (stream, subject, sequence, delivered, published_at, headers, payload,
             processor, stage, sqlstate, error, nats_stream, raw_headers)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let message = dead_letter.message;
    let published = TimestampWithTimeZone::try_from(message.published.postgres_micros()).ok();
    let (read, raw) = match &message.headers {
        Some(Headers::Parsed(parsed)) => (Some(headers(parsed)), None),
        Some(Headers::Raw(raw)) => (None, Some(raw.as_ref())),
        None => (None, None),
    };
    let args = [
        dead_letter.pipeline.into(),
        without_nul(&message.subject).into(),
        i64::try_from(message.sequence).ok().into(),
        message.delivery_count.into(),
        published.into(),
        read.into(),
        message.payload.as_ref().into(),
        dead_letter.processor.into(),
        dead_letter.stage.as_str().into(),
        dead_letter.failure.sqlstate.as_str().into(),
        without_nul(&dead_letter.failure.text()).into(),
        dead_letter.stream.into(),
        raw.into(),
    ];
    Spi::connect_mut(|client| client.update(query, None, &args).map(drop))?;
    Ok(())
}

/// Returns the headers as a JSON object of arrays, since a name may occur more than once.
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

/// Replaces U+0000, the only character that PostgreSQL's `text` cannot hold.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
