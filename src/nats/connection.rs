//! The one connection to NATS that all pipelines share. It is tried again for ever, with backoff
//! and jitter; what it reports becomes state, never a wait.

use crate::backoff::Backoff;
use crate::settings::Settings;
use crate::state::{Connection, Connectivity};
use async_nats::{Client, ConnectOptions, Event};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A dead peer is noticed after two of these without an answer.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer of the JetStream API.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Name that NATS shows for this connection.
const CLIENT_NAME: &str = "sr_event_writer";

/// Holds the current client and the state it reports.
pub(crate) struct Connector {
    client: Mutex<Option<Client>>,
    state: Arc<Connection>,
}

impl Connector {
    pub(crate) fn new(state: Arc<Connection>) -> Self {
        Self {
            client: Mutex::new(None),
            state,
        }
    }

    /// The client, once one exists. It may be between two connections.
    pub(crate) fn client(&self) -> Option<Client> {
        self.client.lock().clone()
    }

    /// State of the connection.
    pub(crate) fn state(&self) -> &Connection {
        &self.state
    }

    /// Makes a client for these settings, which connects in the background and for ever; and
    /// another one whenever that has come to its end. A message can make it panic.
    pub(crate) async fn open(&self, settings: &Settings) -> Result<(), async_nats::ConnectError> {
        loop {
            let (alive, gone) = oneshot::channel();
            let client = options(settings, self.state.clone(), alive)
                .connect(settings.servers.as_slice())
                .await?;
            *self.client.lock() = Some(client);
            // Only its end can come.
            let _ = gone.await;
            self.client.lock().take();
            self.state.set_server(None);
            self.state.set_connectivity(Connectivity::Disconnected);
            tokio::time::sleep(settings.retry_min).await;
        }
    }

    /// Returns a connected client, however long that takes.
    pub(crate) async fn connected(&self) -> Client {
        loop {
            self.state.connected().await;
            if let Some(client) = self.client() {
                let info = client.server_info();
                self.state
                    .set_server(Some(format!("{}:{}", info.host, info.port)));
                return client;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// `alive` is dropped with the client's last task.
fn options(
    settings: &Settings,
    state: Arc<Connection>,
    alive: oneshot::Sender<()>,
) -> ConnectOptions {
    let (min, max) = (settings.retry_min, settings.retry_max);
    ConnectOptions::new()
        .name(CLIENT_NAME)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(move |attempts| {
            // The first try after a loss is made at once: most losses are a restarted server.
            match u32::try_from(attempts).unwrap_or(u32::MAX) {
                0 | 1 => Duration::ZERO,
                tries => Backoff::delay(min, max, tries - 2),
            }
        })
        .event_callback(move |event| {
            let _ = &alive;
            record(&state, &event);
            std::future::ready(())
        })
}

fn record(state: &Connection, event: &Event) {
    match event {
        Event::Connected => state.set_connectivity(Connectivity::Connected),
        Event::LameDuckMode => state.set_connectivity(Connectivity::LameDuck),
        Event::Disconnected | Event::Closed => {
            state.set_server(None);
            state.set_connectivity(Connectivity::Disconnected);
        }
        Event::Draining => {}
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            state.set_error(event.to_string());
        }
    }
}
