//! Parses the addresses of NATS servers.

use super::{ParseError, refuse};
use nats::ServerAddr;

/// Bytes of the longest host name.
const HOST_NAME_MAX: usize = 253;

/// Parses `nats_url`: server addresses separated by commas.
pub(in crate::config) fn servers(text: &str) -> Result<Vec<ServerAddr>, ParseError> {
    let addresses = text.split(',').map(str::trim).filter(|s| !s.is_empty());
    let servers = addresses.map(server).collect::<Result<Vec<_>, _>>()?;
    match servers.is_empty() {
        true => refuse("At least one server address is needed, such as nats://nats:4222."),
        false => Ok(servers),
    }
}

/// Parses one address.
fn server(address: &str) -> Result<ServerAddr, ParseError> {
    // Checked first, because the other errors repeat the address and thus the password.
    if address.contains('@') {
        return refuse(
            "An address may not hold a user or password: settings are visible to others.",
        );
    }
    let scheme = address.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, None | Some("nats" | "tls")) {
        return refuse(format!(
            "Address \"{address}\" must start with nats:// or tls://."
        ));
    }
    address
        .parse()
        .map_err(|error| ParseError(format!("Address \"{address}\" is not valid: {error}.")))
}

/// Checks `nats_tls_server_name`: a host name or an IP address; empty for none.
pub(in crate::config) fn host_name(text: &str) -> Result<(), ParseError> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    match text.len() <= HOST_NAME_MAX && text.chars().all(valid) {
        true => Ok(()),
        false => refuse("It must be a host name or an IP address."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::reason;

    #[test]
    fn server_addresses_are_checked_and_hold_no_secret() {
        let two = servers("nats://a:4222, tls://b:4223").unwrap();
        let two: Vec<_> = two.iter().map(|s| (s.host(), s.port())).collect();
        assert_eq!(two, [("a", 4222), ("b", 4223)]);
        assert!(servers("localhost:4222").is_ok());
        assert!(reason(servers(" ")).contains("At least one"));
        assert!(reason(servers("http://a")).contains("nats://"));
        let secret = reason(servers("nats://user:secret@a:4222"));
        assert!(secret.contains("visible") && !secret.contains("secret@"));
        assert!(reason(servers("nats://a:port")).contains("not valid"));
    }

    #[test]
    fn a_server_name_is_a_host_name() {
        for good in ["", "nats.example.com", "10.0.0.1", "::1", "nats_1"] {
            assert!(host_name(good).is_ok(), "{good}");
        }
        for bad in ["tls://nats", "two words", "nats/1"] {
            assert!(reason(host_name(bad)).contains("host name"), "{bad}");
        }
    }
}
