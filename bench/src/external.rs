//! Shared parts of the external writers: start, arguments, reading the stream, acknowledging. They
//! run as separate processes, `bench writer …`.

use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Message};
use futures_util::{StreamExt, future};
use pg_test::feed::Feed;
use pg_test::process::{Lifetime, Process, Signal};
use tokio::sync::mpsc;
use tokio_postgres::{Client, Config, NoTls};

use crate::fixture::Fixture;
use crate::measure::{self, Meter, Round};
use crate::typed::{Netflow, Shape, Telemetry};
use crate::workload::{self, Workload};
use crate::{copy_writer, copy_writer_tuned, insert_writer};

/// Durable consumer of the external writers.
const CONSUMER: &str = "bench-writer";
/// Most messages in flight without an acknowledgement, the same as for the extension.
const IN_FLIGHT: i64 = 65_536;
/// Batches that wait between reading and writing.
const AHEAD: usize = 4;

/// A result with an error text.
pub type Outcome<T> = Result<T, String>;

/// The external writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `copy_writer.rs`
    Copy,
    /// `copy_writer_tuned.rs`
    CopyTuned,
    /// `insert_writer.rs`
    Insert,
    /// Reads and acknowledges, but writes nothing: the cost of NATS and its client alone.
    ReadOnly,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Copy, Self::CopyTuned, Self::Insert, Self::ReadOnly];

    fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::CopyTuned => "copy-tuned",
            Self::Insert => "insert",
            Self::ReadOnly => "read-only",
        }
    }

    /// Returns the number of messages per transaction.
    fn batch(self) -> usize {
        match self {
            Self::Copy => 1000,
            Self::CopyTuned | Self::ReadOnly => 5000,
            Self::Insert => 100,
        }
    }

    /// Returns the acknowledgement policy, which may let one acknowledgement cover a whole batch.
    fn acknowledges(self) -> AckPolicy {
        match self {
            Self::Copy | Self::Insert => AckPolicy::Explicit,
            Self::CopyTuned | Self::ReadOnly => AckPolicy::All,
        }
    }
}

/// Runs one round, from the start of the process until the last message is acknowledged.
pub async fn round(
    fixture: &Fixture,
    kind: Kind,
    workload: &Workload,
    messages: u64,
) -> Outcome<Round> {
    let feed = workload.feed;
    fixture.forget_consumer(feed, CONSUMER).await;
    let pg = &fixture.stack.pg;
    let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    command
        .args(["writer", kind.name(), workload.name])
        .args([fixture.stack.nats.url(), pg.port().to_string()])
        .arg(messages.to_string());
    // Not in PostgreSQL's data directory, which belongs to another user.
    let log = pg.log_path().with_file_name("writer.log");
    let ended = measure::ended_children_cpu();
    let mut meter = Meter::start(&fixture.stack);
    let mut process = Process::spawn(command, &log, Lifetime::Tied(Signal::SIGKILL))
        .map_err(|error| format!("cannot start the writer: {error}"))?;
    meter.watch(process.pid());
    let drained = tokio::select! {
        drained = fixture.drained(feed, CONSUMER) => drained,
        () = failed(&log) => Err("the writer failed".to_owned()),
    };
    let mut round = meter.stop();
    if let Err(why) = drained {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        return Err(format!("{why}\n{log}"));
    }
    process.ended(Duration::from_secs(10)).await;
    round.cpu += measure::ended_children_cpu() - ended;
    Ok(round)
}

/// Waits until the writer has failed: it writes nothing to its log otherwise.
async fn failed(log: &std::path::Path) {
    while std::fs::metadata(log).is_ok_and(|file| file.len() == 0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs the writer process: `copy|copy-tuned|insert|read-only WORKLOAD NATS_URL PGPORT MESSAGES`.
pub async fn main(arguments: &[&str]) -> Outcome<()> {
    let [kind, workload, url, port, messages] = arguments else {
        let usage = "writer: copy|copy-tuned|insert|read-only WORKLOAD NATS_URL PGPORT MESSAGES";
        return Err(usage.to_owned());
    };
    let workload = workload::ALL
        .into_iter()
        .find(|known| known.name == *workload)
        .ok_or("no such workload")?;
    let kind = Kind::ALL
        .into_iter()
        .find(|known| known.name() == *kind)
        .ok_or("no such writer")?;
    let port = port.parse().map_err(|_| "PGPORT is no number")?;
    let messages = messages.parse().map_err(|_| "MESSAGES is no number")?;

    let nats = async_nats::connect(*url).await.map_err(text)?;
    let database = connect(port).await?;
    let (batches, received) = mpsc::channel(AHEAD);
    let (written, to_acknowledge) = mpsc::channel(AHEAD);
    let reading = read(nats.clone(), workload, kind, messages, batches);
    let reading = tokio::spawn(reading);
    let acknowledging = tokio::spawn(acknowledge(nats, kind, to_acknowledge));
    match workload.feed {
        Feed::Netflow => write::<Netflow>(kind, database, port, workload, received, written).await,
        _ => write::<Telemetry>(kind, database, port, workload, received, written).await,
    }?;
    reading.await.map_err(text)??;
    acknowledging.await.map_err(text)?
}

async fn write<S: Shape>(
    kind: Kind,
    database: Client,
    port: u16,
    workload: Workload,
    mut batches: mpsc::Receiver<Batch>,
    written: mpsc::Sender<Batch>,
) -> Outcome<()> {
    match kind {
        Kind::Copy => copy_writer::write::<S>(database, workload, batches, written).await,
        Kind::Insert => insert_writer::write::<S>(database, workload, batches, written).await,
        Kind::CopyTuned => {
            let log = connect(port).await?;
            copy_writer_tuned::write::<S>(database, log, workload, batches, written).await
        }
        Kind::ReadOnly => {
            while let Some(batch) = batches.recv().await {
                written.send(batch).await.map_err(text)?;
            }
            Ok(())
        }
    }
}

/// The messages of one transaction.
pub type Batch = Vec<Message>;

/// Reads the stream in batches, until all messages have arrived.
async fn read(
    nats: async_nats::Client,
    workload: Workload,
    kind: Kind,
    total: u64,
    batches: mpsc::Sender<Batch>,
) -> Outcome<()> {
    let stream = jetstream::new(nats)
        .get_stream(workload.feed.stream())
        .await;
    let config = pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: kind.acknowledges(),
        ack_wait: Duration::from_secs(60),
        max_ack_pending: IN_FLIGHT,
        ..pull::Config::default()
    };
    let consumer = stream
        .map_err(text)?
        .create_consumer(config)
        .await
        .map_err(text)?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(5000)
        .messages()
        .await;
    let messages = messages.map_err(text)?.take(total as usize);
    let mut chunks = messages.chunks(kind.batch());
    while let Some(chunk) = chunks.next().await {
        let batch: Result<Batch, _> = chunk.into_iter().collect();
        if batches.send(batch.map_err(text)?).await.is_err() {
            return Err("the writing end is gone".to_owned());
        }
    }
    Ok(())
}

/// Acknowledges committed batches while the next one is being written.
async fn acknowledge(
    nats: async_nats::Client,
    kind: Kind,
    mut written: mpsc::Receiver<Batch>,
) -> Outcome<()> {
    while let Some(batch) = written.recv().await {
        let first = match kind.acknowledges() {
            AckPolicy::All => batch.len().saturating_sub(1),
            _ => 0,
        };
        let acks = batch.iter().skip(first).map(Message::ack);
        future::try_join_all(acks).await.map_err(text)?;
    }
    nats.flush().await.map_err(text)
}

async fn connect(port: u16) -> Outcome<Client> {
    let connected = Config::new()
        .host("127.0.0.1")
        .port(port)
        .user("postgres")
        .dbname("postgres")
        .application_name("bench writer")
        .connect(NoTls)
        .await;
    let (client, connection) = connected.map_err(text)?;
    // The client reports the error to whoever uses it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// Returns an error as text, with the message of the database if there is one.
pub fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
