//! One attempt to connect: reads the files that the settings name, and tries the servers one after
//! the other.
//!
//! A client lives as long as its connection. It could restore the connection itself, but only with
//! the certificates that it has, and without telling anybody why an attempt fails.

use super::authentication::Login;
use super::error::{ConnectionError, Failure, SetupError};
use super::server_error::ServerError;
use super::servers::{Server, Servers};
use super::tls::TlsFiles;
use crate::context::until_dropped;
use crate::settings::Settings;
use async_nats::rustls::ClientConfig;
use async_nats::{Auth, AuthError, Client, ConnectOptions, Event, ReconnectToServer, ServerAddr};
use parking_lot::Mutex;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

/// Interval of pings to the server. The connection is closed when two of them are unanswered.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer to a request, such as one of the JetStream API.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Name of this connection in NATS' monitoring.
const CLIENT_NAME: &str = "sr_event_writer";
/// Where a client goes after it has lost its connection. Nothing listens on port 0, so this fails
/// at once, and the client ends.
const NOWHERE: &str = "nats://127.0.0.1:0";
/// Attempts in a row that a client makes: the wanted one, and later the one to [`NOWHERE`].
const ATTEMPTS: usize = 1;

/// What was read from the files that the settings name.
pub(super) struct Files {
    /// The login; `None` if there is none, or when the attempt is over. The client keeps what
    /// answers the server, and so this, as long as it lives.
    login: Arc<Mutex<Option<Login>>>,
    /// What TLS needs; `None` if nothing of it is configured.
    tls: Option<TlsFiles>,
}

impl Files {
    /// Reads all files, in a thread where that may block.
    async fn read(settings: &Settings) -> Result<Self, SetupError> {
        let settings = settings.clone();
        let read = tokio::task::spawn_blocking(move || Self::read_now(&settings));
        match read.await {
            Ok(read) => read,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => match until_dropped().await {},
        }
    }

    fn read_now(settings: &Settings) -> Result<Self, SetupError> {
        let login = Login::read(&settings.authentication)?;
        let tls = match settings.tls.is_configured() {
            true => Some(TlsFiles::read(&settings.tls)?),
            false => None,
        };
        Ok(Self {
            login: Arc::new(Mutex::new(login)),
            tls,
        })
    }

    /// Returns the configuration of TLS for a server. `None` leaves it to the client library, which
    /// uses TLS if the server wants it, and trusts the authorities of the operating system.
    fn tls_for(
        &self,
        server: &Server,
        settings: &Settings,
    ) -> Result<Option<ClientConfig>, SetupError> {
        let name = settings.tls.server_name.as_deref();
        let name = name.or(server.name.as_deref());
        match &self.tls {
            Some(tls) => tls.configuration(name).map(Some),
            None if name.is_none() => Ok(None),
            None => TlsFiles::read(&settings.tls)?.configuration(name).map(Some),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.login.lock().take();
    }
}

/// Tries all servers, until one accepts; returns the client, and host and port of the server.
/// `on_event` is called with each event of the client, and is dropped when its last task ends.
pub(super) async fn connect(
    settings: &Settings,
    servers: &mut Servers,
    on_event: impl Fn(&Event) + Send + Sync + 'static,
) -> Result<(Client, String), ConnectionError> {
    let files = Files::read(settings).await?;
    let on_event = Arc::new(on_event);
    let mut failures = Vec::new();
    for server in servers.in_order() {
        let tls = files.tls_for(&server, settings)?;
        let options = options(settings, &server, &files, on_event.clone());
        let options = match tls {
            Some(tls) => options.tls_client_config(tls),
            None => options,
        };
        match options.connect(addresses(&server)?.as_slice()).await {
            Ok(client) => {
                servers.connected(&server, &client.server_info());
                return Ok((client, server.host_and_port()));
            }
            Err(error) => {
                servers.failed(&server);
                failures.push(Failure {
                    server: server.host_and_port(),
                    error: ServerError::of(&error, files.login.lock().as_ref(), files.tls.as_ref()),
                });
            }
        }
    }
    Err(ConnectionError::Servers(failures))
}

/// Returns the server, and where the client goes when it has lost its connection.
fn addresses(server: &Server) -> Result<[ServerAddr; 2], SetupError> {
    let nowhere = NOWHERE
        .parse()
        .map_err(|error: std::io::Error| SetupError::Library(error.to_string()))?;
    Ok([server.address.clone(), nowhere])
}

/// Returns the options of a client that connects to `server` once.
fn options(
    settings: &Settings,
    server: &Server,
    files: &Files,
    on_event: Arc<impl Fn(&Event) + Send + Sync + 'static>,
) -> ConnectOptions {
    let options = match files.login.lock().is_some() {
        true => {
            let login = files.login.clone();
            ConnectOptions::with_auth_callback(move |nonce| ready(answer(&login, &nonce)))
        }
        false => ConnectOptions::new(),
    };
    let options = match settings.tls.first {
        true => options.tls_first(),
        false => options,
    };
    options
        .name(CLIENT_NAME)
        .require_tls(server.tls)
        .custom_inbox_prefix(&settings.inbox_prefix)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .ignore_discovered_servers()
        .max_reconnects(ATTEMPTS)
        .reconnect_to_server_callback(|pool, _| ready(destination(&pool)))
        .event_callback(move |event| {
            on_event(&event);
            ready(())
        })
}

/// Answers a server's nonce.
fn answer(login: &Mutex<Option<Login>>, nonce: &[u8]) -> Result<Auth, AuthError> {
    match &*login.lock() {
        Some(login) => login.answer(nonce),
        None => Err(AuthError::new("the attempt is over")),
    }
}

/// Returns where a client with these [`addresses`] goes: to the server first, and nowhere after it
/// was there.
fn destination(pool: &[async_nats::Server]) -> Option<ReconnectToServer> {
    let was_there = pool.iter().any(|server| server.did_connect);
    let next = match was_there {
        true => pool.last(),
        false => pool.first(),
    };
    next.map(|server| ReconnectToServer {
        addr: server.addr.clone(),
        delay: Some(Duration::ZERO),
    })
}
