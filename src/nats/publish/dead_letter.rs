//! Publishes dead letters as messages for whoever subscribes to them. The table is the
//! authoritative record, so each is sent once, without waiting for an answer.

use crate::budget::Part;
use crate::connection::Connector;
use crate::fetch::MESSAGE_OVERHEAD;
use crate::unreadable::headers;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Most dead letters that may wait, of any size.
const WAITING: usize = 8_192;
/// Divisor of `buffer_memory`: dead letters may take this part of its size, in addition to it.
const PART: usize = 8;
/// Bytes of dead letters that are passed to the client before it is flushed.
const AT_ONCE: usize = 256 << 10;

/// A dead letter to publish, with the reason.
#[derive(Clone, Debug)]
pub struct DeadLetterMessage {
    /// Subject the message was published on.
    pub subject: String,
    /// JetStream stream it was read from.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
    /// Headers that the message was published with.
    pub headers: Option<HeaderMap>,
    /// Payload that the message was published with.
    pub payload: Bytes,
    /// Step that refused it: `decode` or `insert`.
    pub stage: &'static str,
    /// The error.
    pub error: String,
}

/// The dead letters that wait to be published; what does not fit is dropped.
pub(crate) struct DeadLetterQueue {
    sender: mpsc::Sender<Queued>,
    memory: Part,
}

/// A dead letter in the queue, with the subject to publish it on.
pub(crate) struct Queued {
    subject: String,
    message: DeadLetterMessage,
    reservation: OwnedSemaphorePermit,
}

impl DeadLetterQueue {
    /// Creates a queue whose dead letters may take a part of `bytes`, and no more. [`run`] takes
    /// the receiver.
    pub(crate) fn new(bytes: usize) -> (Self, mpsc::Receiver<Queued>) {
        let (sender, ready) = mpsc::channel(WAITING);
        let memory = Part::new(bytes / PART);
        (Self { sender, memory }, ready)
    }

    /// Queues a dead letter for `subject`. It is dropped if too many are waiting.
    pub(crate) fn push(&self, subject: String, message: DeadLetterMessage) {
        if message.is_about_a_dead_letter() {
            return;
        }
        let Some(reservation) = self.memory.try_reserve(message.size()) else {
            return;
        };
        // Copied, because the payload is a slice of a buffer that also holds other messages.
        let payload = Bytes::copy_from_slice(&message.payload);
        let message = DeadLetterMessage { payload, ..message };
        let _ = self.sender.try_send(Queued {
            subject,
            message,
            reservation,
        });
    }
}

/// Publishes queued dead letters on their subjects until the channel closes. A dead letter counts
/// as waiting until the network has taken it, also after it was passed to the client.
pub(crate) async fn run(mut ready: mpsc::Receiver<Queued>, connector: Arc<Connector>) {
    while let Some(first) = ready.recv().await {
        // While there is no connection they wait, and only so many do.
        let client = connector.connected().await;
        let mut sent: Option<OwnedSemaphorePermit> = None;
        let mut next = Some(first);
        while let Some(Queued {
            subject,
            message,
            reservation,
        }) = next
        {
            let headers = headers(&message);
            // A dead letter that cannot be sent is dropped; the message is in the table.
            let _ = client
                .publish_with_headers(subject, headers, message.payload)
                .await;
            match &mut sent {
                Some(sent) => sent.merge(reservation),
                None => sent = Some(reservation),
            }
            let more = sent.as_ref().is_some_and(|s| s.num_permits() < AT_ONCE);
            next = more.then(|| ready.try_recv().ok()).flatten();
        }
        let _ = client.flush().await;
    }
}

/// Header that every published dead letter has; it marks them.
const SEQUENCE: &str = "Sr-Event-Writer-Sequence";

impl DeadLetterMessage {
    /// Returns whether the message was itself a published dead letter. To publish a dead letter
    /// about one could repeat without end.
    fn is_about_a_dead_letter(&self) -> bool {
        let headers = self.headers.as_ref();
        headers.is_some_and(|headers| headers.get(SEQUENCE).is_some())
    }

    /// Returns the bytes that it takes in memory.
    fn size(&self) -> usize {
        let own = self.headers.as_ref();
        let headers = own.map_or(0, |own| {
            let wire = own.iter().flat_map(|(name, values)| {
                let name: &[u8] = name.as_ref();
                values.iter().map(|value| name.len() + value.as_str().len())
            });
            headers::size(own, wire.sum())
        });
        MESSAGE_OVERHEAD + self.payload.len() + headers + self.error.len()
    }
}

/// Returns the headers of the message, plus those that say where it came from and what was wrong.
/// Headers that instruct a JetStream server are left out: they were meant for the original message,
/// and could make the server discard the dead letter, or purge the stream that stores it.
fn headers(message: &DeadLetterMessage) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let for_the_server = |name: &str| {
        let prefix = name.get(..5);
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("Nats-"))
    };
    for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
        if !for_the_server(name.as_ref()) {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    let about = [
        ("Sr-Event-Writer-Subject", message.subject.clone()),
        ("Sr-Event-Writer-Stream", message.stream.clone()),
        (SEQUENCE, message.sequence.to_string()),
        ("Sr-Event-Writer-Stage", message.stage.to_owned()),
        ("Sr-Event-Writer-Error", message.error.clone()),
    ];
    for (name, value) in about {
        headers.insert(name, HeaderValue::from(one_line(&value).as_str()));
    }
    headers
}

/// Replaces line breaks, which would end the value of a header.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: usize) -> DeadLetterMessage {
        DeadLetterMessage {
            subject: "logs.a".to_owned(),
            stream: "LOGS".to_owned(),
            sequence: 42,
            headers: None,
            payload: vec![0; payload].into(),
            stage: "decode",
            error: String::new(),
        }
    }

    #[test]
    fn what_waits_takes_no_more_than_its_part_and_the_rest_is_left_out() {
        let (queue, mut ready) = DeadLetterQueue::new(PART * 10_000);
        let push = |payload| queue.push("dead.logs".to_owned(), message(payload));
        (0..10).for_each(|_| push(2_000));
        assert_eq!(ready.len(), 3);
        // A dead letter that was taken out counts until it is dropped.
        let first = ready.try_recv();
        push(2_000);
        assert_eq!(ready.len(), 2);
        drop(first);
        push(2_000);
        assert_eq!(ready.len(), 3);
        // One that is larger than the whole part passes when the queue is empty.
        while ready.try_recv().is_ok() {}
        push(1_000_000);
        assert_eq!(ready.len(), 1);
    }

    #[test]
    fn headers_say_what_was_wrong_with_which_message() {
        let mut own = HeaderMap::new();
        own.insert("Nats-Rollup", "all");
        own.insert("nats-msg-id", "7");
        own.append("Mine", "a");
        own.append("Mine", "b");
        let message = DeadLetterMessage {
            subject: "logs.a".to_owned(),
            stream: "LOGS".to_owned(),
            sequence: 42,
            headers: Some(own),
            payload: Bytes::new(),
            stage: "decode",
            error: "line 1\nline 2".to_owned(),
        };
        let headers = headers(&message);
        let value = |name: &str| headers.get(name).unwrap().as_str();
        let own: Vec<&str> = headers.get_all("Mine").map(|v| v.as_str()).collect();
        assert_eq!(own, ["a", "b"]);
        assert!(headers.get("Nats-Rollup").is_none() && headers.get("nats-msg-id").is_none());
        assert!(!message.is_about_a_dead_letter());
        let again = DeadLetterMessage {
            headers: Some(headers.clone()),
            ..message
        };
        assert!(again.is_about_a_dead_letter());
        assert_eq!(value("Sr-Event-Writer-Sequence"), "42");
        assert_eq!(value("Sr-Event-Writer-Error"), "line 1 line 2");
    }
}
