//! Publishes messages to JetStream: many at a time, each acknowledged by the server.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Access, RawPublisher};
use crate::messages::Message;
use crate::wait;

/// Most messages in flight without an acknowledgement.
const WINDOW: usize = 2000;
/// Timeout of publishing while servers are stopped and started.
const STORED_WITHIN: Duration = Duration::from_secs(120);
/// Timeout of a server's answer to one message.
const ANSWER: Duration = Duration::from_secs(2);

impl Access {
    /// Publishes payloads under one subject. Returns their sequences, in the same order.
    ///
    /// A quarter of a million small messages take a few seconds.
    pub async fn publish_all<P: Into<Vec<u8>>>(
        &self,
        subject: &str,
        payloads: impl IntoIterator<Item = P>,
    ) -> Vec<u64> {
        let messages = payloads
            .into_iter()
            .map(|payload| Message::plain(subject, payload));
        self.publish_messages(messages).await
    }

    /// Publishes messages, each under its subject. Returns their sequences, in the same order.
    pub async fn publish_messages(&self, messages: impl IntoIterator<Item = Message>) -> Vec<u64> {
        let context = self.jetstream().await;
        let mut sequences = Vec::new();
        let mut window = VecDeque::with_capacity(WINDOW);
        for message in messages {
            if window.len() == WINDOW {
                let oldest = window.pop_front().expect("a full window has a first");
                sequences.push(sequence(oldest).await.expect("a publish is acknowledged"));
            }
            let sent = send(&context, message, None).await;
            window.push_back(sent.expect("a message can be sent"));
        }
        for ack in window {
            sequences.push(sequence(ack).await.expect("a publish is acknowledged"));
        }
        sequences
    }

    /// Publishes one message with headers. Returns its sequence.
    pub async fn publish_with_headers(&self, message: Message, headers: &[(&str, &str)]) -> u64 {
        let mut map = HeaderMap::new();
        headers
            .iter()
            .for_each(|&(name, value)| map.append(name, value));
        let context = self.jetstream().await;
        let sent = context
            .publish_with_headers(message.subject, map, message.payload.into())
            .await;
        sequence(sent.expect("a message can be sent"))
            .await
            .expect("a publish is acknowledged")
    }

    /// Publishes messages while servers are stopped and started, each exactly once: an
    /// unacknowledged message is sent again under the same id, and the stream drops the duplicate.
    /// Returns their sequences, in the same order.
    pub async fn publish_until_stored(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Vec<u64> {
        self.publish_until_stored_with(messages, &HeaderMap::new())
            .await
    }

    /// Like [`Access::publish_until_stored`], with additional headers.
    pub async fn publish_until_stored_with(
        &self,
        messages: impl IntoIterator<Item = Message>,
        headers: &HeaderMap,
    ) -> Vec<u64> {
        let mut context = self.jetstream().await;
        let mut messages = messages.into_iter().enumerate().peekable();
        let mut sequences = Vec::new();
        while messages.peek().is_some() {
            let mut left: Vec<_> = messages.by_ref().take(WINDOW).collect();
            sequences.resize(sequences.len() + left.len(), 0);
            wait::eventually(STORED_WITHIN, "NATS takes all messages", async || {
                left = unacknowledged(&context, left.clone(), headers, &mut sequences).await;
                if left.is_empty() {
                    return Ok(());
                }
                // In a cluster, another server may still work.
                context = self.jetstream().await;
                Err(format!("{} refused", left.len()))
            })
            .await;
        }
        sequences
    }
}

impl Access {
    /// Publishes one message like [`Access::publish_until_stored`], with header lines that the
    /// client library cannot parse. Returns its sequence.
    pub async fn publish_unreadable_until_stored(&self, message: &Message, lines: &[u8]) -> u64 {
        let (subject, payload) = (&message.subject, &message.payload);
        let id = format!("NATS/1.0\r\nNats-Msg-Id: {subject} {}\r\n", message.marker);
        let header = [id.as_bytes(), lines, b"\r\n"].concat();
        let mut addresses = self.addresses().into_iter().cycle();
        wait::eventually(
            STORED_WITHIN,
            "NATS takes an unreadable message",
            async || {
                let server = addresses.next().ok_or("there is no server")?;
                let request = RawPublisher::request(&server, subject, &header, payload);
                let answer = timeout(ANSWER, request).await;
                let answer = answer.map_err(|_| "no answer".to_owned())?;
                let answer = answer.map_err(|error| error.to_string())?;
                let json = answer.lines().next().unwrap_or_default();
                let json: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
                json["seq"].as_u64().ok_or(answer)
            },
        )
        .await
    }
}

/// Publishes messages, notes the sequences of the acknowledged ones, and returns the others.
async fn unacknowledged(
    context: &Context,
    messages: Vec<(usize, Message)>,
    headers: &HeaderMap,
    sequences: &mut [u64],
) -> Vec<(usize, Message)> {
    let mut sent = Vec::with_capacity(messages.len());
    for (place, message) in messages {
        let mut headers = headers.clone();
        let id = format!("{} {}", message.subject, message.marker);
        headers.insert(NATS_MESSAGE_ID, id);
        let ack = send(context, message.clone(), Some(headers)).await;
        sent.push((place, message, ack));
    }
    // One deadline for all: if the server has gone, none of the acknowledgements arrives.
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut left = Vec::new();
    for (place, message, ack) in sent {
        let acknowledged = match ack {
            Ok(ack) => timeout_at(deadline, sequence(ack)).await,
            Err(why) => Ok(Err(why)),
        };
        match acknowledged {
            Ok(Ok(sequence)) => sequences[place] = sequence,
            _ => left.push((place, message)),
        }
    }
    left
}

async fn send(
    context: &Context,
    message: Message,
    headers: Option<HeaderMap>,
) -> Result<PublishAckFuture, String> {
    let mut publish = PublishMessage::build().payload(message.payload.into());
    if let Some(headers) = headers {
        publish = publish.headers(headers);
    }
    context
        .send_publish(message.subject, publish)
        .await
        .map_err(|error| error.to_string())
}

async fn sequence(ack: PublishAckFuture) -> Result<u64, String> {
    ack.await
        .map(|ack| ack.sequence)
        .map_err(|error| error.to_string())
}
