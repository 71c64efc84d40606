//! Latency, from the moment when NATS acknowledges a published message until another session sees
//! its row.
//!
//! Messages are published at a steady rate, with timestamps one millisecond apart. A second session
//! reads the largest timestamp in the table about every millisecond, from an index. One pipeline
//! writes in order, so all messages up to that one are visible. The reported latency is therefore
//! too long by up to the time between two reads, which is also reported.

use std::time::{Duration, Instant, SystemTime};

use async_nats::jetstream::context::PublishAckFuture;
use pg_test::feed::Feed;
use pg_test::stack::SOON;
use pg_test::wait;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;

use crate::fixture::Fixture;
use crate::measure;
use crate::workload;

const FEED: Feed = Feed::Telemetry;
/// Rates to measure, in messages per second.
const RATES: [u64; 2] = [1_000, 5_000];
/// Interval between two reads, and between two bursts of the publisher.
const TICK: Duration = Duration::from_millis(1);
/// Most publish acknowledgements that may be outstanding.
const WINDOW: usize = 10_000;

/// Latencies at one rate, in milliseconds.
#[derive(Debug)]
pub struct Latency {
    /// Messages per second.
    pub rate: u64,
    /// Median latency.
    pub p50: f64,
    /// 99th percentile of the latency.
    pub p99: f64,
    /// 99th percentile of the time between two reads.
    pub look_p99: f64,
}

/// Measures the latency at all rates, for `seconds` each.
pub async fn measure(fixture: &Fixture, seconds: u64) -> Result<Vec<Latency>, String> {
    let pg = &fixture.stack.pg;
    fixture.prepare(&workload::TELEMETRY).await;
    fixture.empty(FEED).await;
    fixture.forget_position(FEED).await;
    pg.alter_system("sr_event_writer.stream_telemetry", "batch_timeout=50ms")
        .await;
    fixture.stack.enable().await;
    // The first message creates the chunk, and shows where the timestamps begin.
    fixture
        .stack
        .nats
        .publish_messages([fixture.generator.good(FEED, 0)])
        .await;
    let session = pg.connect().await;
    let start = wait::eventually(SOON, "the first row", async || {
        newest(&session).await?.ok_or_else(|| "no row".to_owned())
    })
    .await;

    let mut found = Vec::new();
    let mut first = 1;
    for rate in RATES {
        let last = first + rate * seconds;
        found.push(one(fixture, start, rate, first..last).await?);
        first = last;
    }
    fixture.check(&workload::TELEMETRY, first).await;
    fixture.stack.disable().await;
    pg.execute("ALTER SYSTEM RESET sr_event_writer.stream_telemetry")
        .await;
    pg.reload().await;
    Ok(found)
}

async fn one(
    fixture: &Fixture,
    start: SystemTime,
    rate: u64,
    numbers: std::ops::Range<u64>,
) -> Result<Latency, String> {
    let messages: Vec<_> = fixture.generator.range(FEED, numbers.clone()).collect();
    let (finished, stop) = watch::channel(false);
    let session = fixture.stack.pg.connect().await;
    let looking = tokio::spawn(look(session, start, numbers.end - 1, stop));
    let (sent, to_await) = mpsc::channel(WINDOW);
    let acknowledged = tokio::spawn(stamps(to_await));

    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    let mut messages = messages.into_iter();
    let mut published = 0;
    while messages.len() > 0 {
        ticks.tick().await;
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        for message in messages.by_ref().take((due - published) as usize) {
            let sending = fixture
                .context
                .publish(message.subject, message.payload.into());
            let ack = sending.await.map_err(|error| error.to_string())?;
            sent.send(ack)
                .await
                .map_err(|_| "a publish was not acknowledged")?;
        }
        published = due;
    }
    drop(sent);
    let acknowledged = acknowledged.await.map_err(|e| e.to_string())??;
    let deadline = tokio::time::timeout(SOON, looking).await;
    drop(finished);
    let seen = deadline
        .map_err(|_| "not all messages became rows")?
        .map_err(|e| e.to_string())??;

    let mut looks = seen.iter();
    let mut look = looks.next();
    let mut latencies = Vec::with_capacity(acknowledged.len());
    for (number, acknowledged) in numbers.zip(acknowledged) {
        while look.is_some_and(|&(_, newest)| newest < number) {
            look = looks.next();
        }
        let (at, _) = look.ok_or("a message was never seen")?;
        latencies.push(milliseconds(at.saturating_duration_since(acknowledged)));
    }
    let gaps = seen
        .windows(2)
        .map(|pair| milliseconds(pair[1].0.duration_since(pair[0].0)));
    Ok(Latency {
        rate,
        p50: measure::median(latencies.iter().copied()),
        p99: measure::quantile(latencies, 0.99),
        look_p99: measure::quantile(gaps, 0.99),
    })
}

/// Returns the time at which each message was acknowledged.
async fn stamps(mut sent: mpsc::Receiver<PublishAckFuture>) -> Result<Vec<Instant>, String> {
    let mut stamps = Vec::new();
    while let Some(ack) = sent.recv().await {
        ack.await.map_err(|error| error.to_string())?;
        stamps.push(Instant::now());
    }
    Ok(stamps)
}

/// Reads the table repeatedly. Returns the time of each answer, and the number of the newest
/// message in it.
async fn look(
    session: Client,
    start: SystemTime,
    last: u64,
    stop: watch::Receiver<bool>,
) -> Result<Vec<(Instant, u64)>, String> {
    let query = session
        .prepare(NEWEST)
        .await
        .map_err(|error| error.to_string())?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = Vec::new();
    // The sender is dropped when the measurement ends.
    while stop.has_changed().is_ok() {
        ticks.tick().await;
        let row = session.query_one(&query, &[]).await;
        let newest: SystemTime = row.map_err(|error| error.to_string())?.get(0);
        let since = newest.duration_since(start).map_err(|e| e.to_string())?;
        let number = since.as_millis() as u64;
        looks.push((Instant::now(), number));
        if number >= last {
            break;
        }
    }
    Ok(looks)
}

const NEWEST: &str = "SELECT max(\"timestamp\") FROM timeseries_metrics";

async fn newest(session: &Client) -> Result<Option<SystemTime>, String> {
    let row = session.query_one(NEWEST, &[]).await;
    Ok(row.map_err(|error| error.to_string())?.get(0))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
