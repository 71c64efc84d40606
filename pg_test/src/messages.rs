//! Realistic messages for the seven streams. Each has a marker that is written to a column, so that
//! SQL can check that each message has become exactly one row.
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
    /// Number from which it was made, unique within its stream.
    pub marker: u64,
}

impl Message {
    /// Creates a message with any payload, and the marker 0.
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
    /// A number instead of an object.
    NotAnObject,
    /// A word instead of a number. Events have no numeric column, so theirs are truncated.
    WrongType,
    /// A sweep result without `host_ip`. Messages of the other streams are truncated.
    NoHost,
}

impl Defect {
    /// All defects.
    pub const ALL: [Self; 4] = [
        Self::Truncated,
        Self::NotAnObject,
        Self::WrongType,
        Self::NoHost,
    ];
}

const WEEK_MILLIS: u64 = 7 * 24 * 3_600_000;

/// Generates messages.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    seed: u64,
    /// Time of message 0, in Unix milliseconds.
    start: u64,
    /// Milliseconds from one message to the next.
    step: u64,
    /// Number of weeks over which neighbouring messages are spread; 1 = not spread.
    weeks: u64,
}

impl Generator {
    /// Creates a generator whose messages begin an hour ago, so that they fall into at most two
    /// chunks of a hypertable.
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

    /// Makes them a backlog of several weeks: the same messages in the same order, but so far apart
    /// that `messages` of them reach until now.
    pub fn since_weeks(self, weeks: u64, messages: u64) -> Self {
        Self {
            start: self.start - weeks * WEEK_MILLIS,
            step: weeks * WEEK_MILLIS / messages,
            ..self
        }
    }

    /// Spreads the same messages over several weeks, so that neighbours fall into different weeks.
    pub fn over_weeks(self, weeks: u64) -> Self {
        Self { weeks, ..self }
    }

    /// Returns a good message, which becomes exactly one row.
    pub fn good(self, feed: Feed, number: u64) -> Message {
        let (subject, value) = self.parts(feed, number);
        Message {
            subject,
            payload: value.to_string().into_bytes(),
            marker: number,
        }
    }

    /// Returns the good messages with these numbers.
    pub fn range(
        self,
        feed: Feed,
        numbers: std::ops::Range<u64>,
    ) -> impl Iterator<Item = Message> + Send {
        numbers.map(move |number| self.good(feed, number))
    }

    /// Returns a message that becomes a dead letter.
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
