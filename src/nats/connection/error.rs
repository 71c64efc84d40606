//! The reasons why an attempt to connect fails, each with what an operator can do about it. No text
//! contains anything of a secret file.

use super::named_file::{FileError, FileFault};
use super::server_error::ServerError;
use super::state::Problem;
use crate::settings::{Authentication, Settings};
use std::cmp::Reverse;

/// Why no server can be asked, because of the settings or of the files that they name.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    /// A file is not usable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither the settings nor the operating system name an authority for TLS.
    #[error("the operating system has no TLS certificates of authorities")]
    NoAuthorities,
    /// A certificate cannot have the name that the server's certificate must have.
    #[error("\"{0}\" is not a host name or IP address that a TLS certificate can have")]
    BadName(String),
    /// The TLS library refuses what it is given.
    #[error("could not set up TLS: {0}")]
    Library(String),
}

/// The failed attempt to connect to one server.
#[derive(Debug)]
pub(super) struct Failure {
    /// Host and port.
    pub(super) server: String,
    pub(super) error: ServerError,
}

/// Why an attempt to connect has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// No server was asked.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No server could be used; one failure for each.
    #[error("no NATS server could be used")]
    Servers(Vec<Failure>),
}

impl ConnectionError {
    /// Returns what the status shows and the server log says.
    pub(super) fn problem(&self, settings: &Settings) -> Problem {
        match self {
            Self::Setup(error) => Problem {
                message: error.to_string(),
                detail: error.detail(),
                hint: Some(error.hint()),
            },
            Self::Servers(failures) => servers_problem(failures, settings),
        }
    }
}

impl SetupError {
    fn detail(&self) -> Option<String> {
        let Self::File(error) = self else { return None };
        match error.fault {
            FileFault::Access => Some("File must have permissions u=rw (0600) or less if owned by the database user, or permissions u=rw,g=r (0640) or less if owned by root.".to_owned()),
            _ => None,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::File(error) => {
                let setting = error.role.setting();
                match error.fault {
                    FileFault::Open(_) | FileFault::Read(_) => format!("Make the file readable for the operating-system user of PostgreSQL, or correct {setting}."),
                    FileFault::Access | FileFault::Owner => "Change owner or permissions of the file; in Kubernetes, set defaultMode of the volume to 0440.".to_owned(),
                    FileFault::NotRegular | FileFault::TooLarge | FileFault::Content(_) => format!("Replace the file, or correct {setting}."),
                }
            }
            Self::NoAuthorities => {
                "Set sr_event_writer.nats_tls_ca_file, or install the package ca-certificates."
                    .to_owned()
            }
            Self::BadName(_) => "Correct sr_event_writer.nats_tls_server_name.".to_owned(),
            Self::Library(_) => {
                "Check the files of sr_event_writer.nats_tls_ca_file and nats_tls_cert_file."
                    .to_owned()
            }
        }
    }
}

/// Returns the problem of the server that says most, and names the others.
fn servers_problem(failures: &[Failure], settings: &Settings) -> Problem {
    // Sorted, because servers are tried in random order, and the problem has not changed.
    let mut failures: Vec<&Failure> = failures.iter().collect();
    failures.sort_by(|a, b| a.server.cmp(&b.server));
    let telling = failures
        .iter()
        .min_by_key(|failure| Reverse(failure.error.rank()));
    let Some(telling) = telling else {
        // There is no server without an address in the settings, and that is refused.
        let message = "no NATS server is known".to_owned();
        let (detail, hint) = (None, None);
        return Problem {
            message,
            detail,
            hint,
        };
    };
    let others = failures
        .iter()
        .filter(|other| other.server != telling.server);
    let others: Vec<String> = others
        .map(|other| format!("Also, {}.", other.error.message(&other.server)))
        .collect();
    let details: Vec<String> = telling.error.detail().into_iter().chain(others).collect();
    Problem {
        message: telling.error.message(&telling.server),
        detail: (!details.is_empty()).then(|| details.join(" ")),
        hint: telling.error.hint(settings),
    }
}

/// Returns what to do when a server has refused a login.
pub(super) fn login_hint(settings: &Settings) -> String {
    let check = match &settings.authentication {
        Authentication::None if settings.tls.client.is_some() => {
            return "Let the server know the user that the client certificate names (verify_and_map), or configure a login.".to_owned();
        }
        Authentication::None => {
            return "Set sr_event_writer.nats_credentials_file, nats_nkey_seed_file, nats_user with nats_password_file, or nats_token_file.".to_owned();
        }
        Authentication::Credentials { .. } => {
            "Check that the account knows the user and has not revoked it, and replace the file of sr_event_writer.nats_credentials_file otherwise."
        }
        Authentication::Nkey { .. } => {
            "Check that the server knows the public key of the seed in sr_event_writer.nats_nkey_seed_file."
        }
        Authentication::Password { .. } => {
            "Check sr_event_writer.nats_user and the content of sr_event_writer.nats_password_file."
        }
        Authentication::Token { .. } => "Check the content of sr_event_writer.nats_token_file.",
    };
    format!("{check} A changed file is noticed within seconds.")
}
