//! A cluster of three NATS servers that hold each stream three times, and operations on leaders.

use std::ops::Deref;

use async_nats::jetstream::stream::RetentionPolicy;
use serde_json::Value;

use super::access::{Access, WITHIN};
use super::{Nats, Options};
use crate::port::Port;
use crate::wait;

const SERVERS: usize = 3;

/// A cluster. Dropping it kills its servers.
#[derive(Debug)]
pub struct Cluster {
    servers: [Nats; SERVERS],
    access: Access,
    // Reserved, so that no other process takes the ports of the routes while a server is down.
    _routes: Vec<Port>,
}

impl Cluster {
    /// Starts three servers, and waits until a stream can be created.
    ///
    /// The servers do not advertise each other to clients, which would then bypass a proxy.
    pub async fn start() -> Self {
        Self::start_with("no_advertise: true", "").await
    }

    /// Like [`Cluster::start`], but the servers advertise each other, by IP address. `lines` are
    /// more lines of each server's configuration.
    pub async fn start_advertised(lines: &str) -> Self {
        Self::start_with("no_advertise: false", lines).await
    }

    async fn start_with(advertise: &str, lines: &str) -> Self {
        let routes: Vec<Port> = (0..SERVERS).map(|_| Port::reserve()).collect();
        let addresses: Vec<String> = routes
            .iter()
            .map(|port| format!("nats://127.0.0.1:{}", port.number()))
            .collect();
        let servers = std::array::from_fn(|n| {
            Nats::create(Options {
                configuration: format!(
                    "server_name: {}\ncluster {{ name: test, listen: \"127.0.0.1:{}\", routes: {addresses:?}, \
                     {advertise} }}\n{lines}\n\
                     lame_duck_grace_period: 1s\nlame_duck_duration: 30s",
                    server_name(n),
                    routes[n].number(),
                ),
                ..Options::default()
            })
        });
        let urls: Vec<String> = servers.iter().map(Nats::url).collect();
        let cluster = Self {
            servers,
            access: Access::new(urls.join(","), SERVERS),
            _routes: routes,
        };
        // None of them answers before it has found the others, so they have to start at the same
        // time.
        let [first, second, third] = &cluster.servers;
        tokio::join!(first.start(), second.start(), third.start());
        cluster
            .create_stream("PROBE", &["probe"], RetentionPolicy::Limits)
            .await;
        cluster.delete_stream("PROBE").await;
        cluster
    }

    /// Returns all addresses, separated by commas.
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(Nats::url).collect();
        urls.join(",")
    }

    /// Returns the servers, to be started, stopped, killed and frozen.
    pub fn servers(&self) -> &[Nats; SERVERS] {
        &self.servers
    }

    /// Returns the access for a client.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Creates a stream that each server holds.
    pub async fn create_stream(&self, name: &str, subjects: &[&str], retention: RetentionPolicy) {
        self.create_stream_keeping(name, subjects, retention).await;
    }

    /// Returns the server that is the leader of a stream now.
    pub async fn stream_leader(&self, stream: &str) -> &Nats {
        let what = format!("stream {stream} has a leader");
        let context = self.jetstream().await;
        let leader = wait::eventually(WITHIN, what, async || {
            let found = context
                .get_stream(stream)
                .await
                .map_err(|e| e.to_string())?;
            let cluster = found.cached_info().cluster.as_ref();
            let leader = cluster.and_then(|cluster| cluster.leader.clone());
            leader.ok_or_else(|| "none".to_owned())
        })
        .await;
        let named = (0..SERVERS).find(|&n| server_name(n) == leader);
        &self.servers[named.unwrap_or_else(|| panic!("no server is called {leader}"))]
    }

    /// Makes the leader of a stream hand over to another server.
    pub async fn step_down_stream(&self, stream: &str) {
        self.step_down(&format!("STREAM.LEADER.STEPDOWN.{stream}"))
            .await;
    }

    /// Makes the leader of a consumer hand over to another server.
    pub async fn step_down_consumer(&self, stream: &str, consumer: &str) {
        self.step_down(&format!("CONSUMER.LEADER.STEPDOWN.{stream}.{consumer}"))
            .await;
    }

    async fn step_down(&self, request: &str) {
        let context = self.jetstream().await;
        wait::eventually(WITHIN, format_args!("{request} is done"), async || {
            let answer: Result<Value, _> = context.request(request.to_owned(), &()).await;
            match answer {
                Ok(answer) if answer["success"] == true => Ok(()),
                Ok(answer) => Err(answer.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }
}

impl Deref for Cluster {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

fn server_name(number: usize) -> String {
    format!("server-{number}")
}
