//! The settings as PostgreSQL sees them: name, default, unit, context. Read only through
//! [`super::read`].

use super::parse::{self, ParseError};
use super::preset::{DEFAULT_STREAMS, PRESETS};
use super::{AckAfter, Config, PipelineConfig, WriteConfig, check};
use nats::{Pipeline, Settings};
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};
use pgrx::prelude::*;
use std::ffi::{CStr, CString};
use std::sync::OnceLock;
use std::time::Duration;

/// Background workers that the pipelines may be spread over.
pub const WORKERS_MAX: usize = 16;

#[derive(Clone, Copy, PostgresGucEnum)]
enum AckAfterSetting {
    #[name = c"flush"]
    Flush,
    #[name = c"replicated"]
    Replicated,
    #[name = c"applied"]
    Applied,
}

type Text = GucSetting<Option<CString>>;

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(false);
static DATABASE: Text = Text::new(Some(c"postgres"));
static NATS_URL: Text = Text::new(Some(c"nats://nats:4222"));
static NATS_DOMAIN: Text = Text::new(Some(c""));
static CONSUMER: Text = Text::new(Some(c"db-writer"));
static STREAMS: Text = Text::new(Some(DEFAULT_STREAMS));
static WORKERS: GucSetting<i32> = GucSetting::<i32>::new(1);
static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(100);
static BATCH_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(1_000);
static MAX_BATCH_ROWS: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static BUFFER_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(64 << 10);
static INSERT_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static ACK_AFTER: GucSetting<AckAfterSetting> =
    GucSetting::<AckAfterSetting>::new(AckAfterSetting::Flush);
static RETRY_MIN_DELAY: GucSetting<i32> = GucSetting::<i32>::new(500);
static RETRY_MAX_DELAY: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static BREAKER_FAILURES: GucSetting<i32> = GucSetting::<i32>::new(5);
static BREAKER_RESET: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static DEAD_LETTER_SUBJECT: Text = Text::new(Some(c""));
static DEAD_LETTER_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * DAY);
static DEAD_LETTER_MAX_SIZE: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_MESSAGE_AGE: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_MESSAGE_FUTURE: GucSetting<i32> = GucSetting::<i32>::new(DAY);

/// A whole number that a reload changes.
struct Number {
    name: &'static CStr,
    what: &'static CStr,
    setting: &'static GucSetting<i32>,
    min: i32,
    max: i32,
    unit: GucFlags,
}

const NONE: GucFlags = GucFlags::empty();
const MS: GucFlags = GucFlags::UNIT_MS;
const SECONDS: GucFlags = GucFlags::UNIT_S;
const KB: GucFlags = GucFlags::UNIT_KB;

static NUMBERS: [Number; 13] = [
    Number {
        name: c"sr_event_writer.batch_size",
        what: c"Writes a batch when this many messages wait.",
        setting: &BATCH_SIZE,
        min: 1,
        max: parse::BATCH_SIZE_MAX as i32,
        unit: NONE,
    },
    Number {
        name: c"sr_event_writer.batch_timeout",
        what: c"Writes a batch when its oldest message has waited this long.",
        setting: &BATCH_TIMEOUT,
        min: 1,
        max: parse::BATCH_TIMEOUT_MAX.as_millis() as i32,
        unit: MS,
    },
    Number {
        name: c"sr_event_writer.max_batch_rows",
        what: c"Under backlog, merges batches into transactions of up to this many rows.",
        setting: &MAX_BATCH_ROWS,
        min: 1,
        max: 1_000_000,
        unit: NONE,
    },
    Number {
        name: c"sr_event_writer.buffer_memory",
        what: c"Messages held in memory, all pipelines together; above it fetching stops.",
        setting: &BUFFER_MEMORY,
        min: 1 << 10,
        max: (4 << 20) - 1,
        unit: KB,
    },
    Number {
        name: c"sr_event_writer.insert_timeout",
        what: c"Cancels a batch that takes longer and tries it again smaller.",
        setting: &INSERT_TIMEOUT,
        min: 100,
        max: HOUR_MS,
        unit: MS,
    },
    Number {
        name: c"sr_event_writer.retry_min_delay",
        what: c"First delay before something that failed is tried again.",
        setting: &RETRY_MIN_DELAY,
        min: 1,
        max: HOUR_MS,
        unit: MS,
    },
    Number {
        name: c"sr_event_writer.retry_max_delay",
        what: c"Longest delay before something that failed is tried again.",
        setting: &RETRY_MAX_DELAY,
        min: 1,
        max: HOUR_MS,
        unit: MS,
    },
    Number {
        name: c"sr_event_writer.breaker_failures",
        what: c"Consecutive database failures that open the circuit breaker.",
        setting: &BREAKER_FAILURES,
        min: 1,
        max: 1_000,
        unit: NONE,
    },
    Number {
        name: c"sr_event_writer.breaker_reset",
        what: c"Time after which an open circuit breaker lets a probe through.",
        setting: &BREAKER_RESET,
        min: 100,
        max: HOUR_MS,
        unit: MS,
    },
    Number {
        name: c"sr_event_writer.dead_letter_retention",
        what: c"Age at which dead letters are removed; 0 keeps them.",
        setting: &DEAD_LETTER_RETENTION,
        min: 0,
        max: AGE_MAX,
        unit: SECONDS,
    },
    Number {
        name: c"sr_event_writer.dead_letter_max_size",
        what: c"Size of all dead letters above which the oldest are removed; 0 is no limit.",
        setting: &DEAD_LETTER_MAX_SIZE,
        min: 0,
        max: i32::MAX,
        unit: KB,
    },
    Number {
        name: c"sr_event_writer.max_message_age",
        what: c"Age of a row's time stamp above which its message becomes a dead letter; 0 is off.",
        setting: &MAX_MESSAGE_AGE,
        min: 0,
        max: AGE_MAX,
        unit: SECONDS,
    },
    Number {
        name: c"sr_event_writer.max_message_future",
        what: c"How far ahead a row's time stamp may lie before its message becomes a dead letter; 0 is off.",
        setting: &MAX_MESSAGE_FUTURE,
        min: 0,
        max: AGE_MAX,
        unit: SECONDS,
    },
];

/// Options of the pipelines, by name: presets, and whatever else `streams` named at start.
static STREAM_OPTIONS: OnceLock<Vec<(String, &'static Text)>> = OnceLock::new();

const DAY: i32 = 86_400;
/// Fifty years: longer ages mean "for ever", which 0 says better.
const AGE_MAX: i32 = 50 * 365 * DAY;
const HOUR_MS: i32 = 3_600_000;

/// Defines all settings. To be called once, from `_PG_init`.
pub fn define() {
    define_switches();
    define_nats();
    define_numbers();
    define_dead_letters();
    define_pipelines();
    #[cfg(feature = "faults")]
    super::fault::define();
    // SAFETY: the prefix is a constant string. From here on a misspelt name is an error.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"sr_event_writer".as_ptr()) };
}

fn define_switches() {
    GucRegistry::define_bool_guc(
        c"sr_event_writer.enabled",
        c"Consumes from NATS and writes rows.",
        c"",
        &ENABLED,
        GucContext::Sighup,
        GucFlags::empty(),
    );
    text(
        c"sr_event_writer.database",
        c"Database that holds the extension and the destination tables.",
        &DATABASE,
        GucContext::Postmaster,
        None,
    );
    GucRegistry::define_int_guc(
        c"sr_event_writer.workers",
        c"Background workers that the pipelines are spread over.",
        c"",
        &WORKERS,
        1,
        WORKERS_MAX as i32,
        GucContext::Postmaster,
        GucFlags::empty(),
    );
}

fn define_nats() {
    text(
        c"sr_event_writer.nats_url",
        c"NATS servers, separated by commas.",
        &NATS_URL,
        GucContext::Sighup,
        Some(check::servers),
    );
    text(
        c"sr_event_writer.nats_domain",
        c"JetStream domain.",
        &NATS_DOMAIN,
        GucContext::Sighup,
        Some(check::domain),
    );
    text(
        c"sr_event_writer.consumer",
        c"Prefix of the durable consumers' names.",
        &CONSUMER,
        GucContext::Sighup,
        Some(check::consumer),
    );
}

fn define_dead_letters() {
    text(
        c"sr_event_writer.dead_letter_subject",
        c"Also publishes dead letters below this subject, as SUBJECT.PIPELINE.",
        &DEAD_LETTER_SUBJECT,
        GucContext::Sighup,
        Some(check::subject),
    );
}

fn define_numbers() {
    for number in &NUMBERS {
        GucRegistry::define_int_guc(
            number.name,
            number.what,
            c"",
            number.setting,
            number.min,
            number.max,
            GucContext::Sighup,
            number.unit,
        );
    }
    GucRegistry::define_enum_guc(
        c"sr_event_writer.ack_after",
        c"Acknowledges messages once their commit has come this far.",
        c"flush: this server's disk; replicated: also the synchronous standbys' disks; applied: also visible there.",
        &ACK_AFTER,
        GucContext::Sighup,
        GucFlags::empty(),
    );
}

/// `streams` first: the names in it decide which further settings exist.
fn define_pipelines() {
    text(
        c"sr_event_writer.streams",
        c"Active pipelines, separated by commas.",
        &STREAMS,
        GucContext::Postmaster,
        Some(check::streams),
    );
    let presets = PRESETS
        .iter()
        .map(|preset| (preset.name.to_owned(), preset.guc));
    let others = pipeline_names()
        .into_iter()
        .filter(|n| PRESETS.iter().all(|p| p.name != n));
    let others = others.filter_map(|name| {
        let guc = CString::new(format!("sr_event_writer.stream_{name}")).ok()?;
        let guc: &'static CStr = Box::leak(guc.into_boxed_c_str());
        Some((name, guc))
    });
    let settings: Vec<_> = presets
        .chain(others)
        .map(|(name, guc)| {
            // A setting lives as long as the process; there is one for each pipeline.
            let setting: &'static Text = Box::leak(Box::new(Text::new(Some(c""))));
            let what = c"Options of a pipeline, as key=value pairs.";
            text(guc, what, setting, GucContext::Sighup, Some(check::options));
            (name, setting)
        })
        .collect();
    // A second call would mean a second _PG_init, which PostgreSQL does not make.
    let _ = STREAM_OPTIONS.set(settings);
}

fn text(
    name: &'static CStr,
    what: &'static CStr,
    setting: &'static Text,
    context: GucContext,
    check: pg_sys::GucStringCheckHook,
) {
    // SAFETY: the hooks are guarded by #[pg_guard].
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            name,
            what,
            c"",
            setting,
            context,
            GucFlags::empty(),
            check,
            None,
            None,
        );
    }
}

fn string(setting: &Text) -> String {
    setting
        .get()
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn count(setting: &GucSetting<i32>) -> usize {
    usize::try_from(setting.get()).unwrap_or(0)
}

fn millis(setting: &GucSetting<i32>) -> Duration {
    Duration::from_millis(u64::try_from(setting.get()).unwrap_or(0))
}

/// 0 means that there is no such limit.
fn seconds(setting: &GucSetting<i32>) -> Option<Duration> {
    u64::try_from(setting.get())
        .ok()
        .filter(|&s| s > 0)
        .map(Duration::from_secs)
}

pub(super) fn database() -> String {
    string(&DATABASE)
}

pub(super) fn workers() -> usize {
    count(&WORKERS).max(1)
}

pub(super) fn dead_letter_max_size() -> Option<u64> {
    let bytes = count(&DEAD_LETTER_MAX_SIZE) as u64 * 1024;
    (bytes > 0).then_some(bytes)
}

pub(super) fn pipeline_names() -> Vec<String> {
    // It was checked when it was set.
    parse::streams(&string(&STREAMS)).unwrap_or_default()
}

pub(super) fn read() -> Result<Config, ParseError> {
    let domain = string(&NATS_DOMAIN);
    let insert_timeout = millis(&INSERT_TIMEOUT);
    let stream = Settings {
        servers: parse::servers(&string(&NATS_URL))?,
        domain: (!domain.is_empty()).then_some(domain),
        consumer_prefix: string(&CONSUMER),
        retry_min: millis(&RETRY_MIN_DELAY),
        retry_max: millis(&RETRY_MAX_DELAY).max(millis(&RETRY_MIN_DELAY)),
        buffer_bytes: count(&BUFFER_MEMORY) * 1024 / workers(),
        ack_wait: (insert_timeout * 2).max(Duration::from_secs(60)),
    };
    let write = WriteConfig {
        max_batch_rows: count(&MAX_BATCH_ROWS),
        insert_timeout,
        ack_after: match ACK_AFTER.get() {
            AckAfterSetting::Flush => AckAfter::Flush,
            AckAfterSetting::Replicated => AckAfter::Replicated,
            AckAfterSetting::Applied => AckAfter::Applied,
        },
        retry_min: stream.retry_min,
        retry_max: stream.retry_max,
        breaker_failures: BREAKER_FAILURES.get().unsigned_abs(),
        breaker_reset: millis(&BREAKER_RESET),
        dead_letter_subject: Some(string(&DEAD_LETTER_SUBJECT)).filter(|s| !s.is_empty()),
        dead_letter_retention: seconds(&DEAD_LETTER_RETENTION),
        dead_letter_max_size: dead_letter_max_size(),
    };
    let pipelines = pipeline_names()
        .iter()
        .map(|name| pipeline(name))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(prefix) = &write.dead_letter_subject {
        let subjects: Vec<_> = pipelines
            .iter()
            .map(|p| (p.nats.name.as_str(), p.nats.subjects.as_slice()))
            .collect();
        parse::apart(prefix, &subjects)?;
    }
    Ok(Config {
        enabled: ENABLED.get(),
        stream,
        pipelines,
        write,
    })
}

fn pipeline(name: &str) -> Result<PipelineConfig, ParseError> {
    let settings = STREAM_OPTIONS.get().map(Vec::as_slice).unwrap_or_default();
    let text = settings
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, s)| string(s));
    let options = parse::options(&text.unwrap_or_default())?;
    let settled = parse::settle(name, &options, count(&BATCH_SIZE), millis(&BATCH_TIMEOUT))?;
    Ok(PipelineConfig {
        nats: Pipeline {
            name: name.to_owned(),
            format: settled.format,
            stream: options.nats_stream,
            subjects: settled.subjects,
            batch_size: settled.batch_size,
            batch_timeout: settled.batch_timeout,
            max_batch_rows: count(&MAX_BATCH_ROWS),
            max_rate: options.max_rate.unwrap_or(0),
            max_age: seconds(&MAX_MESSAGE_AGE),
            max_future: seconds(&MAX_MESSAGE_FUTURE),
        },
        table: options.table,
        columnstore: options.columnstore,
    })
}
