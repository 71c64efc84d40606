//! Realistic messages for the seven streams, each with a marker that ends up in a column, so that
//! SQL can check that each became exactly one row.
//!
//! The same seed and number give the same message.

mod content;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::feed::Feed;

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Message {
    /// Subject.
    pub subject: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Its number, unique within its stream, from which it was made.
    pub marker: u64,
}

impl Message {
    /// Any payload.
    pub fn plain(subject: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            subject: subject.to_owned(),
            payload: payload.into(),
            marker: 0,
        }
    }
}

/// The defect of a message that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The text ends in the middle.
    Truncated,
    /// A number where an object should be.
    NotAnObject,
    /// A word where the column takes a number. Events have no such column: truncated as well.
    WrongType,
    /// A sweep result without `host_ip`. For the other streams: truncated as well.
    NoHost,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Truncated,
        Self::NotAnObject,
        Self::WrongType,
        Self::NoHost,
    ];
}

const WEEK_MILLIS: u64 = 7 * 24 * 3_600_000;

/// Makes messages.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    seed: u64,
    /// Unix milliseconds of message 0; each further one is later by `step` …
    start: u64,
    step: u64,
    /// … and a week earlier, up to so many weeks.
    weeks: u64,
}

impl Generator {
    /// Starts an hour ago, so that messages fall into at most two chunks of a hypertable.
    pub fn new(seed: u64) -> Self {
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        let since = hour_ago
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970");
        Self {
            seed,
            start: since.as_secs() * 1000,
            step: 1,
            weeks: 1,
        }
    }

    /// A backlog of so many weeks: the same messages in the same order, but so far apart that it
    /// takes `messages` of them to come to now.
    pub fn since_weeks(self, weeks: u64, messages: u64) -> Self {
        Self {
            start: self.start - weeks * WEEK_MILLIS,
            step: weeks * WEEK_MILLIS / messages,
            ..self
        }
    }

    /// The same messages, but neighbours fall into different ones of this many weeks.
    pub fn over_weeks(self, weeks: u64) -> Self {
        Self { weeks, ..self }
    }

    /// A good message; it becomes exactly one row.
    pub fn good(self, feed: Feed, number: u64) -> Message {
        let (subject, value) = self.parts(feed, number);
        Message {
            subject,
            payload: value.to_string().into_bytes(),
            marker: number,
        }
    }

    /// The good messages with these numbers.
    pub fn range(
        self,
        feed: Feed,
        numbers: std::ops::Range<u64>,
    ) -> impl Iterator<Item = Message> + Send {
        numbers.map(move |number| self.good(feed, number))
    }

    /// A message that becomes a dead letter.
    pub fn broken(self, feed: Feed, number: u64, defect: Defect) -> Message {
        let (subject, mut value) = self.parts(feed, number);
        let payload = match (defect, content::wrong_type(feed)) {
            (Defect::NotAnObject, _) => number.to_string().into_bytes(),
            (Defect::WrongType, Some((field, word))) => {
                value[field] = json!(word);
                value.to_string().into_bytes()
            }
            (Defect::NoHost, _) if feed == Feed::Sweep => {
                value.as_object_mut().expect("an object").remove("host_ip");
                value.to_string().into_bytes()
            }
            _ => {
                let mut bytes = value.to_string().into_bytes();
                bytes.truncate(bytes.len() / 2);
                bytes
            }
        };
        Message {
            subject,
            payload,
            marker: number,
        }
    }

    fn parts(self, feed: Feed, number: u64) -> (String, Value) {
        let earlier = number % self.weeks * WEEK_MILLIS;
        content::good(
            self.seed,
            feed,
            self.start + number * self.step - earlier,
            number,
        )
    }
}
