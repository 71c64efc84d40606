//! Acknowledgements: published once the commit is durable, never before. A lost acknowledgement
//! costs a redelivery, which the position in the database identifies as a duplicate.

use crate::connection::Connector;
use async_nats::Subject;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Where to report that messages are durable.
#[derive(Debug)]
pub enum Receipt {
    /// To the server: the reply subject that takes the acknowledgement of one message.
    Reply(Subject),
    /// To the session, which sends the acknowledgements itself.
    Report(oneshot::Sender<()>),
}

/// Publishes acknowledgements in the order in which they were queued, and passes reports on, until
/// the channel closes.
///
/// While there is no client they are dropped: the server forgets these deliveries when the next
/// session resets the consumer, and to keep the acknowledgements would only take memory.
pub(crate) async fn run(mut ready: mpsc::Receiver<Vec<Receipt>>, connector: Arc<Connector>) {
    while let Some(receipts) = ready.recv().await {
        let Some(client) = connector.client() else {
            continue;
        };
        for receipt in receipts {
            match receipt {
                Receipt::Reply(reply) => {
                    if client.publish(reply, Bytes::new()).await.is_err() {
                        break;
                    }
                }
                // If the session has ended, the next one reads these messages again.
                Receipt::Report(report) => drop(report.send(())),
            }
        }
    }
}
