//! The one connection to NATS that all pipelines share. It is retried for ever, with backoff and
//! jitter, and each attempt reads the files of login and TLS anew. What happens is recorded as
//! [`state`]; nothing here waits for somebody to look at it.

mod attempt;
mod authentication;
mod changes;
mod client_certificate;
mod credentials;
mod error;
mod named_file;
pub(crate) mod refusals;
mod server_error;
mod servers;
pub(crate) mod state;
mod tls;
mod validity;

use crate::backoff::Backoff;
use crate::settings::Settings;
use async_nats::{Client, Event};
use changes::FileVersions;
use error::ConnectionError;
use parking_lot::Mutex;
use servers::Servers;
use state::Connection;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A connection that lasted this long is no brief one.
const STABLE: Duration = Duration::from_millis(250);
/// Brief connections in a row after which the next attempt is made at once. Most losses are a
/// restarted server, and a message that the client cannot parse costs some connections.
const MAX_BRIEF: u32 = 8;

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

    /// Returns the client, if there is a connection. It may just have been lost.
    pub(crate) fn client(&self) -> Option<Client> {
        self.client.lock().clone()
    }

    /// Returns the state of the connection.
    pub(crate) fn state(&self) -> &Connection {
        &self.state
    }

    /// Keeps a connection with these settings: makes another client whenever the one before has
    /// lost its connection, or has panicked because of a message.
    pub(crate) async fn keep_connected(&self, settings: &Settings) -> Infallible {
        tls::choose_ciphers();
        let tls = settings.tls.is_configured();
        let mut servers = Servers::new(&settings.servers, tls);
        let mut backoff = Backoff::new(settings.retry_min, settings.retry_max);
        let mut brief = 0;
        loop {
            let files = FileVersions::now(settings).await;
            match self.connect(settings, &mut servers).await {
                Ok(lost) => {
                    let lasted = self.until(lost).await;
                    brief = if lasted < STABLE { brief + 1 } else { 0 };
                    if brief <= MAX_BRIEF {
                        backoff.reset();
                        continue;
                    }
                }
                Err(error) => self.state.set_problem(error.problem(settings)),
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = files.changed() => backoff.reset(),
            }
        }
    }

    /// Waits until the connection is lost, and returns how long it has lasted.
    async fn until(&self, lost: oneshot::Receiver<Infallible>) -> Duration {
        let since = Instant::now();
        // Nothing is ever sent; the wait ends when the sender is dropped.
        let _ = lost.await;
        self.client.lock().take();
        self.state.set_disconnected();
        since.elapsed()
    }

    /// Connects. The channel that it returns closes when the connection is lost.
    async fn connect(
        &self,
        settings: &Settings,
        servers: &mut Servers,
    ) -> Result<oneshot::Receiver<Infallible>, ConnectionError> {
        let (alive, lost) = oneshot::channel();
        let (state, inbox_prefix) = (self.state.clone(), settings.inbox_prefix.clone());
        let on_event = move |event: &Event| {
            let _ = &alive;
            record(&state, event, &inbox_prefix);
        };
        let (client, server) = attempt::connect(settings, servers, on_event).await?;
        *self.client.lock() = Some(client);
        self.state.set_connected(server);
        Ok(lost)
    }

    /// Waits until there is a connection, and returns its client.
    pub(crate) async fn connected(&self) -> Client {
        loop {
            self.state.connected().await;
            if let Some(client) = self.client() {
                return client;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn record(state: &Connection, event: &Event, inbox_prefix: &str) {
    match event {
        Event::LameDuckMode => state.set_lame_duck(),
        Event::Disconnected | Event::Closed => state.set_disconnected(),
        Event::SlowConsumer(_) | Event::ServerError(_) => {
            state.set_error(&event.to_string(), inbox_prefix);
        }
        // Errors of the client are those of the end that it is sent to after a loss.
        Event::Connected | Event::Draining | Event::ClientError(_) => {}
    }
}
