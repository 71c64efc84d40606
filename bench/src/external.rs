//! Runs the external writers, each as a separate process, `bench writer …`: its start, its
//! arguments and its connections.

use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::consumer::AckPolicy;
use pg_test::feed::Feed;
use pg_test::process::{Lifetime, Process, Signal};
use tokio::sync::mpsc;
use tokio_postgres::{Client, Config, NoTls};

use crate::batches::{self, Batch, CONSUMER, Consumption, Outcome, text};
use crate::fixture::Fixture;
use crate::measure::{self, Meter, Round};
use crate::typed::{Netflow, Shape, Telemetry};
use crate::workload::{self, Workload};
use crate::{copy_writer, copy_writer_tuned, insert_writer};

/// Batches that wait between reading and writing.
const AHEAD: usize = 4;

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
    fn ack_policy(self) -> AckPolicy {
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
    let consumption = Consumption {
        messages,
        batch: kind.batch(),
        ack_policy: kind.ack_policy(),
    };
    let reading = batches::read(nats.clone(), workload, consumption, batches);
    let reading = tokio::spawn(reading);
    let acknowledging = batches::acknowledge(nats, consumption.ack_policy, to_acknowledge);
    let acknowledging = tokio::spawn(acknowledging);
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
