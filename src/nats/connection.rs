//! The one connection to NATS that all pipelines share. It is retried for ever, with backoff and
//! jitter. Its events are recorded as state, and nothing here waits for them.

use crate::backoff::Backoff;
use crate::settings::Settings;
use crate::state::{Connection, Connectivity};
use async_nats::{Client, ConnectOptions, Event};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Interval of pings to the server. The connection is closed when two of them are unanswered.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer to a request, such as one of the JetStream API.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Name of this connection in NATS' monitoring.
const CLIENT_NAME: &str = "sr_event_writer";

/// The current client, and the state of its connection.
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

    /// Returns the client, if there is one. It may be connected or reconnecting.
    pub(crate) fn client(&self) -> Option<Client> {
        self.client.lock().clone()
    }

    /// Returns the state of the connection.
    pub(crate) fn state(&self) -> &Connection {
        &self.state
    }

    /// Creates a client for these settings, which connects in the background and retries for ever.
    /// Creates another one whenever the client ends, because a message can make it panic.
    pub(crate) async fn open(&self, settings: &Settings) -> Result<(), async_nats::ConnectError> {
        loop {
            let (alive, gone) = oneshot::channel();
            let client = options(settings, self.state.clone(), alive)
                .connect(settings.servers.as_slice())
                .await?;
            *self.client.lock() = Some(client);
            // Nothing is ever sent; the wait ends when the sender is dropped.
            let _ = gone.await;
            self.client.lock().take();
            self.state.set_server(None);
            self.state.set_connectivity(Connectivity::Disconnected);
            tokio::time::sleep(settings.retry_min).await;
        }
    }

    /// Waits until there is a connection, and returns its client.
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

/// Returns the client's options. `alive` is dropped when the last task of the client ends.
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
            // The first attempt after a loss is made at once, because most losses are a restarted
            // server.
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
