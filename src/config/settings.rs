//! All settings, each defined in one place, in the order of docs/settings.md. To add one: its
//! static, a line in [`SETTINGS`], and a field of [`super::Config`] that is read from it. Settings
//! of single pipelines are in [`super::pipelines`], those of the connection in [`nats`].

pub(super) mod nats;

use super::AckAfter;
use super::check;
use super::parse::{BATCH_SIZE_MAX, BATCH_TIMEOUT_MAX};
use super::preset::DEFAULT_STREAMS;
use super::setting::{Choice, Number, Setting, Switch, Text, Unit};

/// The largest number of background workers that the pipelines are distributed over.
pub const WORKERS_MAX: usize = 16;

/// Seconds in a day.
const DAY: i32 = 86_400;
/// Seconds in fifty years, the largest age: to keep things for ever, use 0.
const AGE_MAX: i32 = 50 * 365 * DAY;
/// Milliseconds in an hour.
const HOUR_MS: i32 = 3_600_000;

/// All settings but those of single pipelines and of the connection.
pub(super) static SETTINGS: &[&dyn Setting] = &[
    &ENABLED,
    &DATABASE,
    &WORKERS,
    &CONSUMER,
    &STREAMS,
    &BATCH_SIZE,
    &BATCH_TIMEOUT,
    &MAX_BATCH_ROWS,
    &BUFFER_MEMORY,
    &INSERT_TIMEOUT,
    &ACK_AFTER,
    &RETRY_MIN_DELAY,
    &RETRY_MAX_DELAY,
    &BREAKER_FAILURES,
    &BREAKER_RESET,
    &DEAD_LETTER_SUBJECT,
    &DEAD_LETTER_RETENTION,
    &DEAD_LETTER_MAX_SIZE,
    &MAX_MESSAGE_AGE,
    &MAX_MESSAGE_FUTURE,
];

pub(super) static ENABLED: Switch = Switch::new(
    c"sr_event_writer.enabled",
    c"Consumes from NATS and writes rows.",
    false,
);

pub(super) static DATABASE: Text = Text::new(
    c"sr_event_writer.database",
    c"Database that holds the extension and the destination tables.",
    c"postgres",
)
.at_restart();

pub(super) static WORKERS: Number = Number::new(
    c"sr_event_writer.workers",
    c"Background workers that the pipelines are spread over.",
    1,
    1..=WORKERS_MAX as i32,
    Unit::Count,
)
.at_restart();

pub(super) static CONSUMER: Text = Text::new(
    c"sr_event_writer.consumer",
    c"Prefix of the durable consumers' names.",
    c"db-writer",
)
.checked(Some(check::consumer));

pub(super) static STREAMS: Text = Text::new(
    c"sr_event_writer.streams",
    c"Active pipelines, separated by commas.",
    DEFAULT_STREAMS,
)
.checked(Some(check::streams))
.at_restart();

pub(super) static BATCH_SIZE: Number = Number::new(
    c"sr_event_writer.batch_size",
    c"Writes a batch when this many messages wait.",
    100,
    1..=BATCH_SIZE_MAX as i32,
    Unit::Count,
);

pub(super) static BATCH_TIMEOUT: Number = Number::new(
    c"sr_event_writer.batch_timeout",
    c"Writes a batch when its oldest message has waited this long.",
    1_000,
    1..=BATCH_TIMEOUT_MAX.as_millis() as i32,
    Unit::Milliseconds,
);

pub(super) static MAX_BATCH_ROWS: Number = Number::new(
    c"sr_event_writer.max_batch_rows",
    c"Under backlog, merges batches into transactions of up to this many rows.",
    5_000,
    1..=1_000_000,
    Unit::Count,
);

pub(super) static BUFFER_MEMORY: Number = Number::new(
    c"sr_event_writer.buffer_memory",
    c"Messages held in memory, all pipelines together; above it fetching stops.",
    64 << 10,
    1 << 10..=(4 << 20) - 1,
    Unit::Kilobytes,
);

pub(super) static INSERT_TIMEOUT: Number = Number::new(
    c"sr_event_writer.insert_timeout",
    c"Cancels a batch that takes longer and tries it again smaller.",
    30_000,
    100..=HOUR_MS,
    Unit::Milliseconds,
);

pub(super) static ACK_AFTER: Choice<AckAfter> = Choice::new(
    c"sr_event_writer.ack_after",
    c"Acknowledges messages once their commit has come this far.",
    c"flush: this server's disk; replicated: also the synchronous standbys' disks; applied: also visible there.",
    AckAfter::Flush,
);

pub(super) static RETRY_MIN_DELAY: Number = Number::new(
    c"sr_event_writer.retry_min_delay",
    c"First delay before something that failed is tried again.",
    500,
    1..=HOUR_MS,
    Unit::Milliseconds,
);

pub(super) static RETRY_MAX_DELAY: Number = Number::new(
    c"sr_event_writer.retry_max_delay",
    c"Longest delay before something that failed is tried again.",
    30_000,
    1..=HOUR_MS,
    Unit::Milliseconds,
);

pub(super) static BREAKER_FAILURES: Number = Number::new(
    c"sr_event_writer.breaker_failures",
    c"Consecutive database failures that open the circuit breaker.",
    5,
    1..=1_000,
    Unit::Count,
);

pub(super) static BREAKER_RESET: Number = Number::new(
    c"sr_event_writer.breaker_reset",
    c"Time after which an open circuit breaker lets a probe through.",
    30_000,
    100..=HOUR_MS,
    Unit::Milliseconds,
);

pub(super) static DEAD_LETTER_SUBJECT: Text = Text::new(
    c"sr_event_writer.dead_letter_subject",
    c"Also publishes dead letters below this subject, as SUBJECT.PIPELINE.",
    c"",
)
.checked(Some(check::subject));

pub(super) static DEAD_LETTER_RETENTION: Number = Number::new(
    c"sr_event_writer.dead_letter_retention",
    c"Age at which dead letters are removed; 0 keeps them.",
    30 * DAY,
    0..=AGE_MAX,
    Unit::Seconds,
);

pub(super) static DEAD_LETTER_MAX_SIZE: Number = Number::new(
    c"sr_event_writer.dead_letter_max_size",
    c"Size of all dead letters above which the oldest are removed; 0 is no limit.",
    0,
    0..=i32::MAX,
    Unit::Kilobytes,
);

pub(super) static MAX_MESSAGE_AGE: Number = Number::new(
    c"sr_event_writer.max_message_age",
    c"Age of a row's time stamp above which its message becomes a dead letter; 0 is off.",
    0,
    0..=AGE_MAX,
    Unit::Seconds,
);

pub(super) static MAX_MESSAGE_FUTURE: Number = Number::new(
    c"sr_event_writer.max_message_future",
    c"How far ahead a row's time stamp may lie before its message becomes a dead letter; 0 is off.",
    DAY,
    0..=AGE_MAX,
    Unit::Seconds,
);
