//! Refuses servers that are too old. A consumer can be set to the position in the database only
//! from nats-server 2.14 on.

use crate::error::SessionError;
use async_nats::ServerInfo;

/// Major and minor version of the oldest supported server.
const OLDEST: (u64, u64) = (2, 14);

/// Fails if the server is too old to set a consumer back, because nothing can be read from it.
pub(crate) fn refuse_old(info: &ServerInfo) -> Result<(), SessionError> {
    if is_new_enough(&info.version) {
        return Ok(());
    }
    Err(SessionError::ServerTooOld {
        server: format!("{}:{}", info.host, info.port),
        version: info.version.clone(),
    })
}

/// Returns whether a version such as `2.14.0` or `2.15.0-dev` is new enough. One that cannot be
/// parsed passes: the server itself will refuse what it cannot do.
fn is_new_enough(version: &str) -> bool {
    let version = version.trim_start_matches('v');
    let mut numbers = version.split('.').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_from_2_14_on_are_new_enough() {
        for version in [
            "2.14.0",
            "2.14.0-RC.1",
            "2.15.0-dev",
            "3.0.0",
            "v2.14.5",
            "own build",
        ] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["2.13.9", "2.10.29", "1.99.0", "v2.12.1"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }

    #[test]
    fn a_server_that_is_too_old_is_named_with_its_version() {
        let info = ServerInfo {
            host: "10.0.0.1".to_owned(),
            port: 4222,
            version: "2.10.29".to_owned(),
            ..ServerInfo::default()
        };
        assert_eq!(
            refuse_old(&info).unwrap_err().to_string(),
            "NATS server 10.0.0.1:4222 is version 2.10.29; sr_event_writer needs nats-server 2.14 or newer"
        );
    }
}
