//! Receives the messages of a consumer: sends the next pull request before the last message of the
//! one before has come, and notices refusals and missed heartbeats.
//!
//! `async_nats::jetstream::consumer::pull::Stream` does the same for general use. But for each
//! message it clones the whole client, so that the message can acknowledge itself. We acknowledge
//! once per transaction, and the clones took a tenth of the NATS thread's time.

use super::pull_request::{HEARTBEAT, PullSize, body};
use super::pull_status::{is_too_small, refusals, unused};
use crate::error::SessionError;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

/// A source of messages for fetch: a [`Pull`], or a script in the tests.
pub(crate) trait Messages {
    /// Returns the next message. No message is lost if the caller drops the future.
    async fn next(&mut self) -> Result<Message, SessionError>;

    /// Returns whether a heartbeat is overdue, and no message has come either.
    fn has_missed_heartbeat(&self) -> bool;
}

/// The pull requests of a session, and the messages that answer them.
pub(crate) struct Pull {
    client: Client,
    subscriber: Subscriber,
    /// Subject that takes requests, and subject on which their answers come.
    api: Subject,
    inbox: Subject,
    /// Body of the next request.
    body: Bytes,
    /// Messages and bytes that it asks for.
    request: PullSize,
    /// Messages and bytes that were requested and have not come.
    outstanding: PullSize,
    /// Number of requests in a row that the server has refused.
    refusals: u32,
    /// Since when nothing was received; `None` while messages come.
    quiet_since: Option<Instant>,
}

impl Pull {
    /// Subscribes to the inbox of a new pull in JetStream domain `domain`. Its requests will ask
    /// for `request`.
    pub(crate) async fn begin(
        client: &Client,
        consumer: &Consumer<pull::Config>,
        domain: Option<&str>,
        request: PullSize,
    ) -> Result<Self, SessionError> {
        let inbox = Subject::from(client.new_inbox());
        let subscriber = client.subscribe(inbox.clone()).await;
        Ok(Self {
            client: client.clone(),
            subscriber: subscriber?,
            api: api(consumer, domain),
            inbox,
            body: body(request),
            request,
            outstanding: PullSize::default(),
            refusals: 0,
            quiet_since: None,
        })
    }

    /// Handles a status that came instead of a message.
    fn handle_status(&mut self, status: StatusCode, message: &Message) -> Result<(), SessionError> {
        let unused = unused(status, message, self.request)?;
        self.outstanding.sub(unused);
        self.refusals = refusals(self.refusals, status, message)?;
        if is_too_small(self.request, unused, message) {
            // The message was accepted when the server permitted larger ones.
            self.request.bytes *= 2;
            self.body = body(self.request);
        }
        Ok(())
    }

    async fn send_request(&mut self) -> Result<(), SessionError> {
        let (api, inbox) = (self.api.clone(), self.inbox.clone());
        let asked = self
            .client
            .publish_with_reply(api, inbox, self.body.clone());
        asked.await?;
        self.outstanding.add(self.request);
        Ok(())
    }

    async fn receive(&mut self) -> Result<Message, SessionError> {
        // Most messages are there already, and to read the clock for each would be expensive.
        let message = match self.subscriber.next().now_or_never() {
            Some(message) => message,
            None => {
                self.quiet_since.get_or_insert_with(Instant::now);
                self.subscriber.next().await
            }
        };
        self.quiet_since = None;
        // A subscription ends only when its client ends.
        message.ok_or(SessionError::Disconnected)
    }
}

impl Messages for Pull {
    async fn next(&mut self) -> Result<Message, SessionError> {
        loop {
            if self.outstanding.is_below_half_of(self.request) {
                self.send_request().await?;
            }
            let message = self.receive().await?;
            match message.status {
                // A stored message may have a status in its headers, too, if its publisher wrote
                // one there.
                Some(status) if !is_delivery(&message) => self.handle_status(status, &message)?,
                Some(_) | None => {
                    self.refusals = 0;
                    self.outstanding.sub(PullSize {
                        messages: 1,
                        bytes: message.length,
                    });
                    return Ok(message);
                }
            }
        }
    }

    fn has_missed_heartbeat(&self) -> bool {
        self.quiet_since
            .is_some_and(|since| since.elapsed() >= HEARTBEAT + HEARTBEAT / 2)
    }
}

fn api(consumer: &Consumer<pull::Config>, domain: Option<&str>) -> Subject {
    let info = consumer.cached_info();
    let domain = domain.map(|domain| format!("{domain}."));
    Subject::from(format!(
        "$JS.{}API.CONSUMER.MSG.NEXT.{}.{}",
        domain.unwrap_or_default(),
        info.stream_name,
        info.name
    ))
}

/// Returns whether a consumer delivered it: only a delivery has a reply subject for an
/// acknowledgement, a status from the server has none.
fn is_delivery(message: &Message) -> bool {
    let reply = message.reply.as_ref();
    reply.is_some_and(|reply| reply.starts_with("$JS.ACK."))
}
