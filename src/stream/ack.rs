//! Acknowledgements: published after the commit is durable, never before. A lost one costs a
//! redelivery, which the position in the database recognises.

use crate::connection::Connector;
use async_nats::Subject;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Publishes acknowledgements in the order in which they come, until the channel closes.
///
/// While there is no connection they are dropped: the server has forgotten or will forget these
/// deliveries, and keeping them would only hold memory.
pub(crate) async fn run(mut ready: mpsc::Receiver<Vec<Subject>>, connector: Arc<Connector>) {
    while let Some(replies) = ready.recv().await {
        let Some(client) = connector.client() else {
            continue;
        };
        for reply in replies {
            if client.publish(reply, Bytes::new()).await.is_err() {
                break;
            }
        }
    }
}
