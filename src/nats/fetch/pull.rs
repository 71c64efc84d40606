//! The messages of a consumer: asks for more before the last one has come, and notices when the
//! server refuses or falls silent.
//!
//! `async_nats::jetstream::consumer::pull::Stream` does the same for everybody. It clones the whole
//! client for each message so that the message can acknowledge itself, which we do once per
//! transaction, and that took a tenth of the reading thread's time.

use super::pull_request::{HEARTBEAT, PullSize, body};
use super::pull_status::{is_too_small, refusals, unused};
use crate::error::SessionError;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

/// Where a fetch has its messages from: a [`Pull`], or a script in the tests.
pub(crate) trait Messages {
    /// Returns the next message. Nothing is lost when the caller stops waiting for it.
    async fn next(&mut self) -> Result<Message, SessionError>;

    /// Returns whether not even a heartbeat has come that was due.
    fn has_missed_heartbeat(&self) -> bool;
}

/// A consumer that is being fetched from.
pub(crate) struct Pull {
    client: Client,
    subscriber: Subscriber,
    /// Where requests go, and where their answers come.
    api: Subject,
    inbox: Subject,
    /// The next request …
    body: Bytes,
    /// … and what it asks for.
    request: PullSize,
    /// What all requests have asked for and has not come.
    outstanding: PullSize,
    /// Requests that the server has refused in a row.
    refusals: u32,
    /// Since when there is nothing to be had.
    quiet_since: Option<Instant>,
}

impl Pull {
    /// Begins, with requests of size `request`, in JetStream domain `domain`.
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

    /// Takes account of a status that came instead of a message.
    fn handle_status(&mut self, status: StatusCode, message: &Message) -> Result<(), SessionError> {
        let unused = unused(status, message, self.request)?;
        self.outstanding.sub(unused);
        self.refusals = refusals(self.refusals, status, message)?;
        if is_too_small(self.request, unused, message) {
            // The message was taken when the server allowed for larger ones.
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
        // Most messages are there already, and a look at the clock for each would be dear.
        let message = match self.subscriber.next().now_or_never() {
            Some(message) => message,
            None => {
                self.quiet_since.get_or_insert_with(Instant::now);
                self.subscriber.next().await
            }
        };
        self.quiet_since = None;
        // Only with its client does a subscription end.
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
                // A publisher can write a status into the headers of a message, too.
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

/// Returns whether a consumer has sent it: it wants an acknowledgement, which the word of a server
/// never does.
fn is_delivery(message: &Message) -> bool {
    let reply = message.reply.as_ref();
    reply.is_some_and(|reply| reply.starts_with("$JS.ACK."))
}
