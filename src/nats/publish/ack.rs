//! Acknowledgements: published after the commit is durable, never before. A lost one costs a
//! redelivery, which the position in the database recognises.

use crate::connection::Connector;
use async_nats::Subject;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Whoever has to know that messages are durable.
#[derive(Debug)]
pub enum Receipt {
    /// The server, which takes an acknowledgement on this subject.
    Reply(Subject),
    /// The session, which acknowledges them itself.
    Report(oneshot::Sender<()>),
}

/// Publishes acknowledgements in the order in which they come, and passes reports on, until the
/// channel closes.
///
/// While there is no connection they are dropped: the server has forgotten or will forget these
/// deliveries, and keeping them would only hold memory.
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
                // A session that has ended meanwhile reads them again.
                Receipt::Report(report) => drop(report.send(())),
            }
        }
    }
}
