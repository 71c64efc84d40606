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
        let headers = headers(&notice);
        // A notice that cannot be sent is dropped: the table has the message.
        let _ = client
            .publish_with_headers(subject, headers, notice.payload)
            .await;
    }
}

/// The message's own headers and what is known about it.
fn headers(notice: &Notice) -> HeaderMap {
    let mut headers = notice.headers.clone().unwrap_or_default();
    let about = [
        ("Sr-Event-Writer-Subject", notice.subject.clone()),
        ("Sr-Event-Writer-Stream", notice.stream.clone()),
        ("Sr-Event-Writer-Sequence", notice.sequence.to_string()),
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
        own.insert("Nats-Msg-Id", "7");
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
        assert_eq!(value("Nats-Msg-Id"), "7");
        assert_eq!(value("Sr-Event-Writer-Sequence"), "42");
        assert_eq!(value("Sr-Event-Writer-Error"), "line 1 line 2");
    }
}
