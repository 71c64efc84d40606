//! Reads the settings of the NATS side, and checks those of the connection against each other.

use super::parse::{self, ParseError, refuse};
use super::setting::Text;
use super::{read_retry_delays, settings, workers};
use nats::{Authentication, ClientCertificate, Settings, Tls};
use std::path::PathBuf;
use std::time::Duration;

/// Reads the settings of the NATS side.
pub(super) fn read() -> Result<Settings, ParseError> {
    let (retry_min, retry_max) = read_retry_delays();
    let ack_wait = settings::INSERT_TIMEOUT.duration() * 2;
    Ok(Settings {
        servers: parse::servers(&settings::nats::URL.get())?,
        authentication: Login::read().authentication()?,
        tls: tls()?,
        inbox_prefix: settings::nats::INBOX_PREFIX.get(),
        domain: settings::nats::DOMAIN.non_empty(),
        consumer_prefix: settings::CONSUMER.get(),
        retry_min,
        retry_max,
        buffer_bytes: settings::BUFFER_MEMORY.size() / workers(),
        ack_wait: ack_wait.max(Duration::from_secs(60)),
    })
}

/// The settings of the login.
#[derive(Clone, Debug, Default)]
struct Login {
    credentials_file: Option<PathBuf>,
    nkey_seed_file: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
}

impl Login {
    fn read() -> Self {
        Self {
            credentials_file: path(&settings::nats::CREDENTIALS_FILE),
            nkey_seed_file: path(&settings::nats::NKEY_SEED_FILE),
            user: settings::nats::USER.non_empty(),
            password_file: path(&settings::nats::PASSWORD_FILE),
            token_file: path(&settings::nats::TOKEN_FILE),
        }
    }

    /// Returns the only way of login that is set.
    fn authentication(self) -> Result<Authentication, ParseError> {
        let password = match (self.user, self.password_file) {
            (Some(user), Some(password_file)) => Some(Authentication::Password {
                user,
                password_file,
            }),
            (None, None) => None,
            (Some(_), None) => return refuse("nats_user needs nats_password_file."),
            (None, Some(_)) => return refuse("nats_password_file needs nats_user."),
        };
        let credentials = self
            .credentials_file
            .map(|file| Authentication::Credentials { file });
        let nkey = self
            .nkey_seed_file
            .map(|seed_file| Authentication::Nkey { seed_file });
        let token = self.token_file.map(|file| Authentication::Token { file });
        let ways = [
            ("nats_credentials_file", credentials),
            ("nats_nkey_seed_file", nkey),
            ("nats_user", password),
            ("nats_token_file", token),
        ];
        let mut set = ways
            .into_iter()
            .filter_map(|(name, way)| Some((name, way?)));
        match (set.next(), set.next()) {
            (None, _) => Ok(Authentication::None),
            (Some((_, way)), None) => Ok(way),
            (Some((one, _)), Some((other, _))) => refuse(format!(
                "{one} and {other} are both set, but there can be only one login."
            )),
        }
    }
}

/// Returns the path that a setting holds; `None` if it is empty.
fn path(setting: &Text) -> Option<PathBuf> {
    setting.non_empty().map(PathBuf::from)
}

/// Reads the settings of TLS.
fn tls() -> Result<Tls, ParseError> {
    let cert_file = path(&settings::nats::TLS_CERT_FILE);
    let key_file = path(&settings::nats::TLS_KEY_FILE);
    Ok(Tls {
        ca_file: path(&settings::nats::TLS_CA_FILE),
        client: client_certificate(cert_file, key_file)?,
        first: settings::nats::TLS_FIRST.get(),
        server_name: settings::nats::TLS_SERVER_NAME.non_empty(),
    })
}

fn client_certificate(
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
) -> Result<Option<ClientCertificate>, ParseError> {
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Ok(Some(ClientCertificate {
            cert_file,
            key_file,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => refuse("nats_tls_cert_file needs nats_tls_key_file."),
        (None, Some(_)) => refuse("nats_tls_key_file needs nats_tls_cert_file."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Option<PathBuf> {
        Some(PathBuf::from("/secret"))
    }

    #[test]
    fn there_is_one_login_and_it_is_complete() {
        let nothing = Login::default();
        assert_eq!(nothing.clone().authentication(), Ok(Authentication::None));
        let token = Login {
            token_file: secret(),
            ..nothing.clone()
        };
        let file = PathBuf::from("/secret");
        assert_eq!(
            token.clone().authentication(),
            Ok(Authentication::Token { file })
        );
        let two = Login {
            nkey_seed_file: secret(),
            ..token
        };
        let reason = two.authentication().unwrap_err().0;
        assert!(
            reason.contains("nats_nkey_seed_file and nats_token_file"),
            "{reason}"
        );
        let user = Login {
            user: Some("me".to_owned()),
            ..nothing.clone()
        };
        let reason = user.clone().authentication().unwrap_err().0;
        assert_eq!(reason, "nats_user needs nats_password_file.");
        let password = Login {
            password_file: secret(),
            ..nothing
        };
        let reason = password.authentication().unwrap_err().0;
        assert_eq!(reason, "nats_password_file needs nats_user.");
        assert!(
            Login {
                password_file: secret(),
                ..user
            }
            .authentication()
            .is_ok()
        );
    }

    #[test]
    fn a_certificate_needs_its_key_and_the_key_its_certificate() {
        assert!(client_certificate(None, None).unwrap().is_none());
        assert!(client_certificate(secret(), secret()).unwrap().is_some());
        assert!(client_certificate(secret(), None).is_err());
        assert!(client_certificate(None, secret()).is_err());
    }
}
