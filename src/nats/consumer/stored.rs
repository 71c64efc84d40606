//! Single stored messages of a stream, requested by sequence. The server sends them as JSON, with
//! headers and payload in Base64, so no content can break the connection.

use crate::error::SessionError;
use async_nats::{Client, Subject};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use row::Timestamp;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Error code of the JetStream API for "no message found".
const NO_MESSAGE: u64 = 10_037;
/// Character that replaces bytes that are not UTF-8.
const LOSSY: char = char::REPLACEMENT_CHARACTER;

/// A message as the stream stores it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    /// Sequence in the stream.
    pub(crate) sequence: u64,
    /// When the server received it from its publisher.
    pub(crate) published: Timestamp,
    /// Subject, with U+FFFD in place of bytes that are not UTF-8.
    pub(crate) subject: String,
    /// Header bytes; empty if there are none.
    pub(crate) headers: Bytes,
    /// Payload; empty if there is none.
    pub(crate) payload: Bytes,
}

/// Requests messages of one stream.
pub(crate) struct StoredMessages {
    client: Client,
    api: Subject,
}

impl StoredMessages {
    /// Creates a reader for the messages of `stream` in JetStream domain `domain`.
    pub(crate) fn new(client: &Client, stream: &str, domain: Option<&str>) -> Self {
        let domain = domain.map(|domain| format!("{domain}."));
        let domain = domain.unwrap_or_default();
        Self {
            client: client.clone(),
            api: Subject::from(format!("$JS.{domain}API.STREAM.MSG.GET.{stream}")),
        }
    }

    /// Returns the message with this sequence; `None` if the stream does not hold it.
    pub(crate) async fn get(&self, sequence: u64) -> Result<Option<StoredMessage>, SessionError> {
        self.ask(&json!({ "seq": sequence })).await
    }

    /// Finds the first message from `sequence` on that matches one of these subjects.
    pub(crate) async fn next(
        &self,
        subjects: &[String],
        sequence: u64,
    ) -> Result<Option<StoredMessage>, SessionError> {
        let mut first: Option<StoredMessage> = None;
        for subject in subjects {
            let found = self.next_of(subject, sequence).await?;
            if let Some(found) = found
                && first.as_ref().is_none_or(|f| found.sequence < f.sequence)
            {
                first = Some(found);
            }
        }
        Ok(first)
    }

    /// Finds the first message from `from` on that matches this subject.
    pub(crate) async fn next_of(
        &self,
        subject: &str,
        from: u64,
    ) -> Result<Option<StoredMessage>, SessionError> {
        self.ask(&json!({ "seq": from, "next_by_subj": subject }))
            .await
    }

    /// Returns whether the subject is as it was published, without replaced bytes.
    pub(crate) async fn has_a_readable_subject(
        &self,
        stored: &StoredMessage,
    ) -> Result<bool, SessionError> {
        if !stored.subject.contains(LOSSY) {
            return Ok(true);
        }
        // The publisher may have used that very character; then a search for the subject finds the
        // message.
        let found = self.next_of(&stored.subject, stored.sequence).await?;
        Ok(found.is_some_and(|found| found.sequence == stored.sequence))
    }

    async fn ask(&self, request: &Value) -> Result<Option<StoredMessage>, SessionError> {
        let payload = Bytes::from(request.to_string());
        let answer = self.client.request(self.api.clone(), payload).await;
        let answer = answer.map_err(|error| SessionError::Api(error.into()))?;
        parse(&answer.payload)
    }
}

fn parse(answer: &[u8]) -> Result<Option<StoredMessage>, SessionError> {
    let answer: Value = serde_json::from_slice(answer)
        .map_err(|error| SessionError::Api(format!("a stored message: {error}").into()))?;
    if let Some(error) = answer.get("error") {
        return match error.get("err_code").and_then(Value::as_u64) {
            Some(NO_MESSAGE) => Ok(None),
            _ => Err(SessionError::Api(error.to_string().into())),
        };
    }
    let stored = answer.get("message").and_then(stored);
    let unreadable = || SessionError::Api("a stored message that makes no sense".into());
    stored.map(Some).ok_or_else(unreadable)
}

fn stored(message: &Value) -> Option<StoredMessage> {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    let bytes = |name: &str| match text(name) {
        Some(text) => STANDARD.decode(text).ok().map(Bytes::from),
        None => Some(Bytes::new()),
    };
    let time = OffsetDateTime::parse(text("time")?, &Rfc3339).ok()?;
    Some(StoredMessage {
        sequence: message.get("seq")?.as_u64()?,
        published: Timestamp::from_unix_nanos(time.unix_timestamp_nanos())?,
        subject: text("subject")?.to_owned(),
        headers: bytes("hdrs")?,
        payload: bytes("data")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_message_is_read_whole() {
        let answer =
            br#"{"type":"x","message":{"subject":"logs.a","seq":7,"hdrs":"TkFUUy8xLjANCv8=",
            "data":"/w==","time":"2026-01-02T03:04:05.123456789Z"}}"#;
        let stored = parse(answer).unwrap().unwrap();
        assert_eq!((stored.sequence, stored.subject.as_str()), (7, "logs.a"));
        assert_eq!(stored.headers, &b"NATS/1.0\r\n\xff"[..]);
        assert_eq!(stored.payload, &b"\xff"[..]);
        assert_eq!(stored.published.unix_micros(), 1_767_323_045_123_456);
    }

    #[test]
    fn no_message_is_none_and_anything_else_an_error() {
        let none = br#"{"error":{"code":404,"err_code":10037,"description":"no message found"}}"#;
        assert_eq!(parse(none).unwrap(), None);
        for broken in [
            &b"{}"[..],
            b"x",
            br#"{"error":{"code":503,"err_code":10008}}"#,
            br#"{"message":{"subject":"a","seq":7,"data":"?","time":"2026-01-02T03:04:05Z"}}"#,
        ] {
            assert!(parse(broken).is_err());
        }
    }
}
