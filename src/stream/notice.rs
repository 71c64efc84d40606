//! Dead letters as messages: what the database has set aside is also published for whoever listens.
//! The table is the record; this is a notice, sent once and not waited for.

use crate::connection::Connector;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A message that was set aside, with the reason.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Subject the message was published on.
    pub subject: String,
    /// JetStream stream it was read from.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
    /// Its own headers.
    pub headers: Option<HeaderMap>,
    /// Its payload.
    pub payload: Bytes,
    /// `decode` or `insert`.
    pub stage: &'static str,
    /// What was wrong.
    pub error: String,
}

/// Publishes notices to the subjects that come with them, until the channel closes.
pub(crate) async fn run(mut ready: mpsc::Receiver<(String, Notice)>, connector: Arc<Connector>) {
    while let Some((subject, notice)) = ready.recv().await {
        let Some(client) = connector.client() else {
            continue;
        };
        if notice.is_about_a_notice() {
            continue;
        }
        let headers = headers(&notice);
        // A notice that cannot be sent is dropped: the table has the message.
        let _ = client
            .publish_with_headers(subject, headers, notice.payload)
            .await;
    }
}

/// Header that every notice has.
const SEQUENCE: &str = "Sr-Event-Writer-Sequence";

impl Notice {
    /// Whether the message is a notice itself: another one about it could go on for ever.
    fn is_about_a_notice(&self) -> bool {
        let own = self.headers.as_ref();
        own.is_some_and(|headers| headers.get(SEQUENCE).is_some())
    }
}

/// The message's own headers and what is known about it. Those that tell a JetStream server what to do
/// were meant for the message: they could make the notice vanish, or empty the stream it goes to.
fn headers(notice: &Notice) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let for_the_server = |name: &str| {
        let prefix = name.get(..5);
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("Nats-"))
    };
    for (name, values) in notice.headers.iter().flat_map(HeaderMap::iter) {
        if !for_the_server(name.as_ref()) {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    let about = [
        ("Sr-Event-Writer-Subject", notice.subject.clone()),
        ("Sr-Event-Writer-Stream", notice.stream.clone()),
        (SEQUENCE, notice.sequence.to_string()),
        ("Sr-Event-Writer-Stage", notice.stage.to_owned()),
        ("Sr-Event-Writer-Error", notice.error.clone()),
    ];
    for (name, value) in about {
        headers.insert(name, HeaderValue::from(one_line(&value).as_str()));
    }
    headers
}

/// A header's value ends at a line break.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_was_wrong_with_which_message() {
        let mut own = HeaderMap::new();
        own.insert("Nats-Rollup", "all");
        own.insert("nats-msg-id", "7");
        own.append("Mine", "a");
        own.append("Mine", "b");
        let notice = Notice {
            subject: "logs.a".to_owned(),
            stream: "LOGS".to_owned(),
            sequence: 42,
            headers: Some(own),
            payload: Bytes::new(),
            stage: "decode",
            error: "line 1\nline 2".to_owned(),
        };
        let headers = headers(&notice);
        let value = |name: &str| headers.get(name).unwrap().as_str();
        let own: Vec<&str> = headers.get_all("Mine").map(|v| v.as_str()).collect();
        assert_eq!(own, ["a", "b"]);
        assert!(headers.get("Nats-Rollup").is_none() && headers.get("nats-msg-id").is_none());
        assert!(!notice.is_about_a_notice());
        let again = Notice {
            headers: Some(headers.clone()),
            ..notice
        };
        assert!(again.is_about_a_notice());
        assert_eq!(value("Sr-Event-Writer-Sequence"), "42");
        assert_eq!(value("Sr-Event-Writer-Error"), "line 1 line 2");
    }
}
