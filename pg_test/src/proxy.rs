//! A TCP proxy between the writer and a NATS server, which inflicts network faults.
//!
//! It parses the protocol as far as necessary to lose a complete request or message, and can close
//! a connection at any byte.

mod frames;
mod pipe;

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::pipe::Allowance;

/// The state of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NetworkState {
    Normal,
    /// Nothing passes in either direction.
    Blackhole,
    /// At most this many bytes per second pass in this direction.
    Slow(Towards, u64),
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Towards {
    Client,
    Server,
}

/// State that all connections share.
#[derive(Debug)]
struct Shared {
    target: u16,
    network: watch::Sender<NetworkState>,
    losses: Mutex<Losses>,
    connections: Mutex<Vec<Connection>>,
    /// Bytes that the next new connection may carry from the server before it is closed.
    next_allowance: Mutex<Option<u64>>,
    accepted: AtomicUsize,
    lost: AtomicUsize,
}

/// Frames that will be lost.
#[derive(Debug, Default)]
struct Losses {
    /// Prefixes of subjects; requests of the client to them are lost.
    requests: Vec<String>,
    /// Number of further deliveries that are lost.
    deliveries: usize,
}

#[derive(Debug)]
struct Connection {
    allowance: Arc<Allowance>,
    task: JoinHandle<()>,
}

/// A proxy. Dropping it closes all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of loopback, and connects to `target_port` there.
    pub async fn start(target_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            target: target_port,
            network: watch::Sender::new(NetworkState::Normal),
            losses: Mutex::default(),
            connections: Mutex::default(),
            next_allowance: Mutex::default(),
            accepted: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        });
        let accept = tokio::spawn(accept(listener, shared.clone()));
        Self {
            port,
            shared,
            accept,
        }
    }

    /// Returns the URL for the writer.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Closes all connections now; new ones are accepted.
    pub fn cut(&self) {
        for connection in lock(&self.shared.connections).drain(..) {
            connection.task.abort();
        }
    }

    /// Closes every existing connection, and the next new one, after that many more bytes have
    /// passed from the server to the client.
    pub fn cut_after(&self, bytes: u64) {
        *lock(&self.shared.next_allowance) = Some(bytes);
        for connection in &*lock(&self.shared.connections) {
            connection.allowance.limit(bytes);
        }
    }

    /// Keeps connections open and accepts new ones, but passes nothing in either direction. Data in
    /// transit arrives after [`Proxy::heal`].
    pub fn blackhole(&self) {
        self.shared.network.send_replace(NetworkState::Blackhole);
    }

    /// Limits the rate from the server to the client.
    pub fn slow(&self, bytes_per_second: u64) {
        self.shared
            .network
            .send_replace(NetworkState::Slow(Towards::Client, bytes_per_second.max(1)));
    }

    /// Limits the rate from the client to the server.
    pub fn slow_to_server(&self, bytes_per_second: u64) {
        self.shared
            .network
            .send_replace(NetworkState::Slow(Towards::Server, bytes_per_second.max(1)));
    }

    /// Loses everything that the client publishes to subjects with this prefix, for example
    /// `$JS.API.CONSUMER.MSG.NEXT` for pull requests. Everything else passes.
    pub fn swallow(&self, subject_prefix: &str) {
        lock(&self.shared.losses)
            .requests
            .push(subject_prefix.to_owned());
    }

    /// Loses the next `count` deliveries to the client, each completely.
    pub fn drop_frames(&self, count: usize) {
        lock(&self.shared.losses).deliveries = count;
    }

    /// Ends all faults. Connections that were closed stay closed.
    pub fn heal(&self) {
        *lock(&self.shared.next_allowance) = None;
        for connection in &*lock(&self.shared.connections) {
            connection.allowance.lift();
        }
        *lock(&self.shared.losses) = Losses::default();
        self.shared.network.send_replace(NetworkState::Normal);
    }

    /// Returns the number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Returns the number of open connections.
    pub fn open_connections(&self) -> usize {
        let connections = lock(&self.shared.connections);
        connections.iter().filter(|c| !c.task.is_finished()).count()
    }

    /// Returns the number of requests and deliveries lost so far.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let allowance = Arc::new(Allowance::new(lock(&shared.next_allowance).take()));
        let task = tokio::spawn({
            let (shared, allowance) = (shared.clone(), allowance.clone());
            // Whatever the result, both ends see a closed connection.
            async move { drop(carry(client, &shared, &allowance).await) }
        });
        let mut connections = lock(&shared.connections);
        connections.retain(|connection| !connection.task.is_finished());
        connections.push(Connection { allowance, task });
    }
}

async fn carry(client: TcpStream, shared: &Shared, allowance: &Allowance) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.target)).await?;
    for socket in [&client, &server] {
        socket.set_nodelay(true)?;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        pipe::to_server(from_client, to_server, shared),
        pipe::to_client(from_server, to_client, shared, allowance),
    )?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
