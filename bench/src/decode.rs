//! Decoding speed of one core: calls the extension's decoders directly, from the payload to encoded
//! cells. It counts the processor time of the thread, so that other work on the machine does not
//! matter.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use pg_test::feed::Feed;
use pg_test::messages::{Generator, Message};
use row::{RowSet, Timestamp};

use crate::measure;

/// Messages decoded into one row set, as in a batch.
const BATCH: u64 = 1000;
/// Duration of one measurement.
const PASS: Duration = Duration::from_millis(200);
const PASSES: usize = 5;
/// The default of `sr_event_writer.max_message_future`, in microseconds.
const MAX_FUTURE: i64 = 86_400_000_000;

/// Name of the format, and messages per second of processor time.
pub type Rate = (&'static str, f64);

/// Measures the seven formats.
pub fn measure() -> Vec<Rate> {
    Feed::ALL
        .into_iter()
        .map(|feed| {
            let messages: Vec<Message> = Generator::new(1).range(feed, 0..BATCH).collect();
            let passes = (0..PASSES).map(|_| pass(feed, &messages));
            (feed.name(), measure::median(passes))
        })
        .collect()
}

fn pass(feed: Feed, messages: &[Message]) -> f64 {
    let format = decode::format(feed.name()).expect("a format of this name");
    let stream = feed.stream();
    let published = now();
    let window = decode::Window {
        oldest: None,
        newest: Some(published.saturating_add_micros(MAX_FUTURE)),
    };
    let mut decoded = 0;
    let began = processor_time();
    loop {
        let mut out = RowSet::new(format.tables());
        for (sequence, message) in (1..).zip(messages) {
            let message = decode::Message {
                subject: &message.subject,
                payload: &message.payload,
                stream: &stream,
                sequence,
                published,
                window,
            };
            decode::decode_message(&**format, &message, &mut out).expect("a good message");
        }
        std::hint::black_box(&out);
        decoded += messages.len();
        let took = processor_time() - began;
        if took > PASS {
            return decoded as f64 / took.as_secs_f64();
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.expect("after 1970").as_millis();
    let millis = i64::try_from(millis).expect("a time of our age");
    Timestamp::from_unix_millis(millis).expect("a time that PostgreSQL can hold")
}

fn processor_time() -> Duration {
    let clock = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    clock.expect("read the thread's clock").into()
}
