//! The NATS side of the external writers: reads the stream in batches, and acknowledges those that
//! are committed. It must not know how a writer stores them.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Message};
use futures_util::{StreamExt, future};
use tokio::sync::mpsc;

use crate::workload::Workload;

/// Durable consumer of the external writers.
pub const CONSUMER: &str = "bench-writer";
/// Most messages in flight without an acknowledgement, the same as for the extension.
const IN_FLIGHT: i64 = 65_536;

/// A result with an error text.
pub type Outcome<T> = Result<T, String>;

/// The messages of one transaction.
pub type Batch = Vec<Message>;

/// How an external writer consumes the stream.
#[derive(Clone, Copy)]
pub struct Consumption {
    /// Number of messages to read in all.
    pub messages: usize,
    /// Number of messages per transaction.
    pub batch: usize,
    /// Acknowledgement policy of the consumer.
    pub ack_policy: AckPolicy,
}

/// Reads the stream in batches, until all messages have arrived.
pub async fn read(
    nats: async_nats::Client,
    workload: Workload,
    consumption: Consumption,
    batches: mpsc::Sender<Batch>,
) -> Outcome<()> {
    let stream = jetstream::new(nats)
        .get_stream(workload.feed.stream())
        .await;
    let config = pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: consumption.ack_policy,
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
    let messages = messages.map_err(text)?.take(consumption.messages);
    let mut chunks = messages.chunks(consumption.batch);
    while let Some(chunk) = chunks.next().await {
        let batch: Result<Batch, _> = chunk.into_iter().collect();
        if batches.send(batch.map_err(text)?).await.is_err() {
            return Err("the writing end is gone".to_owned());
        }
    }
    Ok(())
}

/// Acknowledges committed batches while the next one is being written.
pub async fn acknowledge(
    nats: async_nats::Client,
    ack_policy: AckPolicy,
    mut written: mpsc::Receiver<Batch>,
) -> Outcome<()> {
    while let Some(batch) = written.recv().await {
        let first = match ack_policy {
            AckPolicy::All => batch.len().saturating_sub(1),
            _ => 0,
        };
        let acks = batch.iter().skip(first).map(Message::ack);
        future::try_join_all(acks).await.map_err(text)?;
    }
    nats.flush().await.map_err(text)
}

/// Returns an error as text, with the message of the database if there is one.
pub fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
