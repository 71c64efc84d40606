//! The servers that an attempt to connect tries: those of the settings, and those that a server has
//! named as members of its cluster.

use async_nats::{ServerAddr, ServerInfo};
use rand::seq::SliceRandom;
use std::net::IpAddr;

/// Most servers that are remembered because another server has named them.
const MAX_DISCOVERED: usize = 64;

/// A server, with what is known about it.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) address: ServerAddr,
    /// Whether TLS is required: by the settings, by the scheme of the address, or because the
    /// server was learnt from one with TLS.
    pub(super) tls: bool,
    /// The name that its certificate must have; `None` for the host of its address. Members of a
    /// cluster name each other by IP address, but their certificates contain the name by which the
    /// settings know the cluster.
    pub(super) name: Option<String>,
    /// Failed attempts in a row.
    failures: u32,
    discovered: bool,
}

impl Server {
    /// Returns host and port.
    pub(super) fn host_and_port(&self) -> String {
        host_and_port(self.address.host(), self.address.port())
    }
}

/// Returns host and port as one text.
pub(super) fn host_and_port(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// All known servers.
#[derive(Debug)]
pub(super) struct Servers(Vec<Server>);

impl Servers {
    /// Starts with the servers of the settings. `tls` requires TLS of all of them.
    pub(super) fn new(configured: &[ServerAddr], tls: bool) -> Self {
        let server = |address: &ServerAddr| Server {
            address: address.clone(),
            tls: tls || address.tls_required(),
            name: None,
            failures: 0,
            discovered: false,
        };
        Self(configured.iter().map(server).collect())
    }

    /// Returns the servers in the order in which to try them: random, but those that failed less
    /// often first.
    pub(super) fn in_order(&mut self) -> Vec<Server> {
        self.0.shuffle(&mut rand::rng());
        self.0.sort_by_key(|server| server.failures);
        self.0.clone()
    }

    /// Counts a failed attempt.
    pub(super) fn failed(&mut self, server: &Server) {
        if let Some(known) = self.known(server) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// Notes a success, and the members of the cluster that the server has named. They replace
    /// those that were named before.
    pub(super) fn connected(&mut self, server: &Server, info: &ServerInfo) {
        self.0
            .retain(|other| !other.discovered || other.address == server.address);
        if let Some(known) = self.known(server) {
            known.failures = 0;
        }
        for url in info.connect_urls.iter().take(MAX_DISCOVERED) {
            if let Ok(address) = url.parse::<ServerAddr>() {
                self.discover(server, address);
            }
        }
    }

    fn known(&mut self, server: &Server) -> Option<&mut Server> {
        let mut servers = self.0.iter_mut();
        servers.find(|known| known.address == server.address)
    }

    fn discover(&mut self, from: &Server, address: ServerAddr) {
        let same = |other: &Server| {
            (other.address.host(), other.address.port()) == (address.host(), address.port())
        };
        if self.0.iter().any(same) {
            return;
        }
        let is_ip = |host: &str| host.parse::<IpAddr>().is_ok();
        let host = from.address.host();
        let learnt_by_name = (!is_ip(host)).then(|| host.to_owned());
        let name = from.name.clone().or(learnt_by_name);
        self.0.push(Server {
            tls: from.tls,
            name: name.filter(|_| from.tls && is_ip(address.host())),
            address,
            failures: 0,
            discovered: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(urls: &[&str]) -> Servers {
        let parsed: Vec<ServerAddr> = urls.iter().map(|url| url.parse().unwrap()).collect();
        Servers::new(&parsed, false)
    }

    fn naming(urls: &[&str]) -> ServerInfo {
        ServerInfo {
            connect_urls: urls.iter().map(|&url| url.to_owned()).collect(),
            ..ServerInfo::default()
        }
    }

    fn hosts(servers: &mut Servers) -> Vec<String> {
        let mut hosts: Vec<_> = servers
            .in_order()
            .iter()
            .map(Server::host_and_port)
            .collect();
        hosts.sort();
        hosts
    }

    #[test]
    fn those_that_failed_less_often_come_first() {
        let mut servers = servers(&["a", "b", "c"]);
        let [a, b, _] = &servers.in_order()[..] else {
            panic!("three servers");
        };
        servers.failed(a);
        servers.failed(a);
        servers.failed(b);
        let order = servers.in_order();
        assert_eq!(order[1].address, b.address);
        assert_eq!(order[2].address, a.address);
        servers.connected(a, &naming(&[]));
        assert_eq!(servers.in_order()[2].address, b.address);
    }

    #[test]
    fn the_order_is_random() {
        let mut servers = servers(&["a", "b", "c", "d"]);
        let orders: std::collections::BTreeSet<Vec<String>> = (0..50)
            .map(|_| {
                let order = servers.in_order();
                order.iter().map(Server::host_and_port).collect()
            })
            .collect();
        assert!(orders.len() > 3);
    }

    #[test]
    fn members_of_the_cluster_are_added_once_and_forgotten_when_they_leave() {
        let mut servers = servers(&["nats://a:4222"]);
        let first = servers.in_order().remove(0);
        servers.connected(&first, &naming(&["a:4222", "10.0.0.2:4222", "[::1]:4222"]));
        assert_eq!(
            hosts(&mut servers),
            ["10.0.0.2:4222", "[::1]:4222", "a:4222"]
        );
        servers.connected(&first, &naming(&["10.0.0.3:4222"]));
        assert_eq!(hosts(&mut servers), ["10.0.0.3:4222", "a:4222"]);
    }

    #[test]
    fn a_member_named_by_a_server_with_tls_needs_tls_and_the_same_name() {
        let mut servers = servers(&["tls://nats.example.com:4222"]);
        let first = servers.in_order().remove(0);
        assert!(first.tls && first.name.is_none());
        servers.connected(
            &first,
            &naming(&["10.0.0.2:4222", "other.example.com:4222"]),
        );
        for server in servers.in_order() {
            match server.address.host() {
                "10.0.0.2" => {
                    assert!(server.tls);
                    assert_eq!(server.name.as_deref(), Some("nats.example.com"));
                    // What it names in its turn is known by the same name.
                    servers.connected(&server, &naming(&["10.0.0.9:4222"]));
                    let learnt = servers.in_order();
                    let learnt = learnt.iter().find(|s| s.address.host() == "10.0.0.9");
                    assert_eq!(learnt.unwrap().name.as_deref(), Some("nats.example.com"));
                }
                "other.example.com" => assert!(server.tls && server.name.is_none()),
                host => assert_eq!(host, "nats.example.com"),
            }
        }
    }

    #[test]
    fn a_server_without_tls_names_others_without_tls() {
        let mut servers = servers(&["nats://10.0.0.1:4222"]);
        let first = servers.in_order().remove(0);
        servers.connected(&first, &naming(&["10.0.0.2:4222"]));
        assert!(
            servers
                .in_order()
                .iter()
                .all(|s| !s.tls && s.name.is_none())
        );
    }
}
