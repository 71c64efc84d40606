//! The messages of a consumer: asks for more before the last one has come, and notices when the
//! server refuses or falls silent.
//!
//! `async_nats::jetstream::consumer::pull::Stream` does the same for everybody. It clones the whole
//! client for each message so that the message can acknowledge itself, which we do once per
//! transaction, and that took a tenth of the reading thread's time.

use crate::error::SessionError;
use crate::settings::{Pipeline, Settings};
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;
use tokio::time::Instant;

/// The server forgets a request after this long.
const EXPIRES: Duration = Duration::from_secs(30);
/// The server says that it is alive this often while there is nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// So many refusals in a row, without a message or a sign of life between them, are no accident. To
/// ask again at once would be a loop at the speed of the link.
const MOST_REFUSALS: u32 = 8;
/// No message is larger than half of this, so no request has to ask for more bytes.
const MOST_BYTES: usize = 128 << 20;
/// The server's words when the next message is larger than what is left of the request.
const TOO_LARGE: &str = "Message Size Exceeds MaxBytes";
/// Headers of a status: what of its request was not used up.
const UNUSED_MESSAGES: &str = "Nats-Pending-Messages";
const UNUSED_BYTES: &str = "Nats-Pending-Bytes";

/// Messages of a request, at least: enough to keep the way to the server full.
const LEAST_MESSAGES: usize = 1_000;
/// Bytes of a request, at most, unless a single message needs more. What a link does not carry
/// within ten seconds makes the server cut it.
const USUAL_BYTES: usize = 1 << 20;
/// Protocol bytes that the server counts with a message.
const PROTOCOL_BYTES: usize = 64 << 10;

/// Where a fetch has its messages from: a [`Pull`], or a script in the tests.
pub(crate) trait Messages {
    /// Returns the next message. Nothing is lost when the caller stops waiting for it.
    async fn next(&mut self) -> Result<Message, SessionError>;

    /// Returns whether not even a heartbeat has come that was due.
    fn has_missed_heartbeat(&self) -> bool;
}

/// Messages and bytes of a request, or what is left of all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PullSize {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl PullSize {
    /// Returns what one of so many pipelines asks for at once: a part of the budget, and no more
    /// than a slow link brings in seconds; but always enough for the largest message, since the
    /// server answers a request that cannot hold the next message with an error, for ever.
    pub(crate) fn new(
        settings: &Settings,
        pipeline: &Pipeline,
        pipelines: usize,
        max_payload: usize,
    ) -> Self {
        let fair = settings.buffer_bytes / (4 * pipelines.max(1));
        Self {
            messages: LEAST_MESSAGES.max(pipeline.batch_size),
            bytes: fair.min(USUAL_BYTES).max(max_payload + PROTOCOL_BYTES),
        }
    }

    /// Whether no more of one of them is left than half of `whole`.
    fn is_below_half_of(self, whole: Self) -> bool {
        self.messages <= whole.messages / 2 || self.bytes <= whole.bytes / 2
    }

    fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }

    fn sub(&mut self, less: Self) {
        self.messages = self.messages.saturating_sub(less.messages);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
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

/// Returns a request as ADR-13 of NATS has it; times in nanoseconds.
fn body(request: PullSize) -> Bytes {
    let PullSize { messages, bytes } = request;
    let (expires, heartbeat) = (EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
    Bytes::from(format!(
        r#"{{"batch":{messages},"max_bytes":{bytes},"expires":{expires},"idle_heartbeat":{heartbeat}}}"#
    ))
}

/// Returns whether a consumer has sent it: it wants an acknowledgement, which the word of a server
/// never does.
fn is_delivery(message: &Message) -> bool {
    let reply = message.reply.as_ref();
    reply.is_some_and(|reply| reply.starts_with("$JS.ACK."))
}

/// Returns what of a request will not come any more, by what the server says instead of a message.
fn unused(
    status: StatusCode,
    message: &Message,
    whole: PullSize,
) -> Result<PullSize, SessionError> {
    let description = message.description.as_deref().unwrap_or_default();
    match status {
        StatusCode::IDLE_HEARTBEAT => Ok(PullSize::default()),
        // The time is up, or the next message is larger than what is left of the request.
        StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED if !is_final(description) => {
            let headers = message.headers.as_ref();
            let number = |name| headers?.get(name)?.as_str().parse().ok();
            Ok(PullSize {
                messages: number(UNUSED_MESSAGES).unwrap_or(whole.messages),
                bytes: number(UNUSED_BYTES).unwrap_or(whole.bytes),
            })
        }
        StatusCode::NO_RESPONDERS => Err(SessionError::Fetch("no responders".to_owned())),
        _ => Err(SessionError::Fetch(format!("{status} {description}"))),
    }
}

/// Counts the refusals in a row after one more status of the server.
fn refusals(before: u32, status: StatusCode, message: &Message) -> Result<u32, SessionError> {
    match (status, before + 1) {
        (StatusCode::REQUEST_TERMINATED, ..=MOST_REFUSALS) => Ok(before + 1),
        (StatusCode::REQUEST_TERMINATED, _) => {
            let said = message.description.clone().unwrap_or_default();
            Err(SessionError::Refused(said))
        }
        _ => Ok(0),
    }
}

/// Returns whether a request that asks for `whole` can never hold the next message.
fn is_too_small(whole: PullSize, unused: PullSize, message: &Message) -> bool {
    let too_large = message.description.as_deref() == Some(TOO_LARGE);
    too_large && unused.bytes == whole.bytes && whole.bytes < MOST_BYTES
}

/// Returns whether the same request would be refused again.
fn is_final(description: &str) -> bool {
    matches!(description, "Consumer Deleted" | "Consumer is push based")
        || description.starts_with("Exceeded MaxRequest")
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::HeaderMap;

    const WHOLE: PullSize = PullSize {
        messages: 100,
        bytes: 1_000,
    };

    fn says(status: StatusCode, description: &str, headers: &[(&str, &str)]) -> Message {
        let mut map = HeaderMap::new();
        headers
            .iter()
            .for_each(|&(name, value)| map.insert(name, value));
        Message {
            subject: "_INBOX.x".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(map),
            status: Some(status),
            description: Some(description.to_owned()),
            length: 0,
        }
    }

    fn unused_of(
        status: StatusCode,
        description: &str,
        headers: &[(&str, &str)],
    ) -> Result<PullSize, String> {
        let message = says(status, description, headers);
        unused(status, &message, WHOLE).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_that_ends_gives_back_what_it_has_not_used() {
        let left = [(UNUSED_MESSAGES, "7"), (UNUSED_BYTES, "70")];
        let part = PullSize {
            messages: 7,
            bytes: 70,
        };
        for (status, description) in [
            (StatusCode::TIMEOUT, "Request Timeout"),
            (
                StatusCode::REQUEST_TERMINATED,
                "Message Size Exceeds MaxBytes",
            ),
            (StatusCode::REQUEST_TERMINATED, "Batch Completed"),
        ] {
            assert_eq!(unused_of(status, description, &left), Ok(part));
            assert_eq!(unused_of(status, description, &[]), Ok(WHOLE));
        }
        let nothing = PullSize::default();
        assert_eq!(unused_of(StatusCode::IDLE_HEARTBEAT, "", &[]), Ok(nothing));
    }

    #[test]
    fn what_would_be_refused_again_ends_the_pull() {
        for (status, description, said) in [
            (
                StatusCode::REQUEST_TERMINATED,
                "Consumer Deleted",
                "fetch: 409 Consumer Deleted",
            ),
            (
                StatusCode::REQUEST_TERMINATED,
                "Exceeded MaxRequestBatch of 10",
                "fetch: 409 Exceeded MaxRequestBatch of 10",
            ),
            (StatusCode::NO_RESPONDERS, "", "fetch: no responders"),
        ] {
            assert_eq!(unused_of(status, description, &[]), Err(said.to_owned()));
        }
    }

    #[test]
    fn refusals_in_a_row_end_the_pull_and_anything_else_is_a_new_beginning() {
        let refusal = says(StatusCode::REQUEST_TERMINATED, "Exceeded MaxWaiting", &[]);
        let mut count = 0;
        for _ in 0..MOST_REFUSALS {
            count = refusals(count, StatusCode::REQUEST_TERMINATED, &refusal).unwrap();
        }
        let error = refusals(count, StatusCode::REQUEST_TERMINATED, &refusal).unwrap_err();
        assert_eq!(
            error.to_string(),
            "NATS refuses to send messages (Exceeded MaxWaiting)"
        );
        for status in [StatusCode::IDLE_HEARTBEAT, StatusCode::TIMEOUT] {
            assert_eq!(refusals(count, status, &says(status, "", &[])).unwrap(), 0);
        }
    }

    #[test]
    fn only_a_whole_request_that_cannot_hold_the_next_message_is_too_small() {
        let part = PullSize {
            bytes: WHOLE.bytes - 1,
            ..WHOLE
        };
        let most = PullSize {
            bytes: MOST_BYTES,
            ..WHOLE
        };
        let too_large = says(StatusCode::REQUEST_TERMINATED, TOO_LARGE, &[]);
        assert!(is_too_small(WHOLE, WHOLE, &too_large));
        assert!(!is_too_small(WHOLE, part, &too_large));
        assert!(!is_too_small(most, most, &too_large));
        let other = says(StatusCode::REQUEST_TERMINATED, "Batch Completed", &[]);
        assert!(!is_too_small(WHOLE, WHOLE, &other));
    }

    #[test]
    fn more_is_asked_for_when_half_of_the_messages_or_bytes_have_come() {
        for (messages, bytes, below) in [(51, 501, false), (50, 501, true), (51, 500, true)] {
            assert_eq!(PullSize { messages, bytes }.is_below_half_of(WHOLE), below);
        }
    }

    #[test]
    fn the_request_is_what_the_server_reads() {
        let expected =
            r#"{"batch":100,"max_bytes":1000,"expires":30000000000,"idle_heartbeat":5000000000}"#;
        assert_eq!(body(WHOLE), expected);
    }
}
