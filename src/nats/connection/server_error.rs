//! What a server, or the way to it, has against a connection. The client library's errors are
//! classified here by their sources.

use super::authentication::Login;
use super::client_certificate;
use super::error;
use super::named_file::os;
use super::tls::TlsFiles;
use super::validity::Lapse;
use crate::settings::Settings;
use async_nats::rustls::{self, AlertDescription, CertificateError};
use async_nats::{ConnectError, ConnectErrorKind};
use std::error::Error;
use std::io;

/// The client library's texts for a connection that the server has closed.
const CUTS: [&str; 2] = ["expected INFO, got nothing", "broken pipe"];

/// Most characters that are shown of what a server says. It may not be the server that is wanted.
const MAX_SAID: usize = 200;

/// Why a server cannot be used.
#[derive(Debug)]
pub(super) enum ServerError {
    /// Its host has no address.
    HostUnknown(String),
    /// There is no way to it, or nothing listens there.
    Unreachable(String),
    /// It did not answer in time.
    TimedOut,
    /// It closed the connection without a word.
    Closed,
    /// It refused the connection with these words.
    Said(String),
    /// It refused the login with these words.
    LoginRefused { said: String, lapse: Option<Lapse> },
    /// It does not speak TLS, or not at once.
    NoTls,
    /// Its certificate is not valid now.
    CertificateLapsed(Lapse),
    /// Its certificate is for other names.
    CertificateName { expected: String, names: String },
    /// Its certificate comes from an authority that is not trusted here.
    CertificateIssuer,
    /// Its certificate has another fault.
    Certificate(String),
    /// It wants a client certificate, and there is none.
    ClientCertificateMissing,
    /// It refused the client certificate.
    ClientCertificateRefused { said: String, lapse: Option<Lapse> },
    /// TLS failed in another way.
    Tls(String),
}

impl ServerError {
    /// Classifies an error of the client library. `login` and `tls` are what the server was shown.
    pub(super) fn of(error: &ConnectError, login: Option<&Login>, tls: Option<&TlsFiles>) -> Self {
        if let Some(error) = source::<rustls::Error>(error) {
            return Self::of_tls(error, tls);
        }
        let text = cause(error);
        match error.kind() {
            ConnectErrorKind::Dns => Self::HostUnknown(text),
            ConnectErrorKind::TimedOut => Self::TimedOut,
            ConnectErrorKind::Tls => Self::Tls(text),
            ConnectErrorKind::AuthorizationViolation => Self::LoginRefused {
                said: "Authorization Violation".to_owned(),
                lapse: login.and_then(Login::lapse),
            },
            _ => match source::<async_nats::ServerError>(error) {
                Some(async_nats::ServerError::Other(said)) => Self::of_words(said, login),
                Some(other) => Self::Said(printable(&other.to_string())),
                None => Self::of_cut(error, text, tls),
            },
        }
    }

    /// Classifies the words of a server that closes the connection.
    fn of_words(said: &str, login: Option<&Login>) -> Self {
        let said = printable(said);
        match said.to_lowercase().contains("auth") {
            true => Self::LoginRefused {
                said,
                lapse: login.and_then(Login::lapse),
            },
            false => Self::Said(said),
        }
    }

    /// Classifies a connection that failed or ended before the server had accepted it.
    fn of_cut(error: &ConnectError, text: String, tls: Option<&TlsFiles>) -> Self {
        let kind = source::<io::Error>(error).map(io::Error::kind);
        let cut = match kind {
            None => CUTS.contains(&text.as_str()),
            Some(kind) => matches!(
                kind,
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
            ),
        };
        // A server that refuses a client certificate may close the connection before its alert
        // arrives.
        match (cut, tls.and_then(TlsFiles::client_lapse)) {
            (true, Some(lapse)) => Self::ClientCertificateRefused {
                said: "nothing".to_owned(),
                lapse: Some(lapse),
            },
            (true, None) => Self::Closed,
            (false, _) => Self::Unreachable(text),
        }
    }

    fn of_tls(error: &rustls::Error, tls: Option<&TlsFiles>) -> Self {
        if let Some(lapse) = client_certificate::lapse_of(error) {
            return Self::CertificateLapsed(lapse);
        }
        match error {
            rustls::Error::InvalidMessage(_) => Self::NoTls,
            rustls::Error::InvalidCertificate(fault) => Self::of_certificate(fault),
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::ClientCertificateMissing
            }
            rustls::Error::AlertReceived(alert)
                if tls.is_some_and(TlsFiles::has_client_certificate) =>
            {
                Self::ClientCertificateRefused {
                    said: format!("{alert:?}"),
                    lapse: tls.and_then(TlsFiles::client_lapse),
                }
            }
            other => Self::Tls(other.to_string()),
        }
    }

    fn of_certificate(fault: &CertificateError) -> Self {
        match fault {
            // The latter if an authority that is trusted has the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Self::CertificateIssuer
            }
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => Self::CertificateName {
                expected: expected.to_str().into_owned(),
                names: presented.join(", "),
            },
            other => Self::Certificate(other.to_string()),
        }
    }

    /// Returns how much it says: the failure of the server with the highest rank is shown.
    pub(super) fn rank(&self) -> u32 {
        match self {
            Self::HostUnknown(_) | Self::Unreachable(_) | Self::TimedOut | Self::Closed => 0,
            Self::Said(_) => 1,
            _ => 2,
        }
    }

    /// Returns the primary message about the server with this host and port.
    pub(super) fn message(&self, server: &str) -> String {
        let certificate = format!("TLS certificate of NATS server {server}");
        match self {
            Self::HostUnknown(text) => {
                format!("could not find the address of NATS server {server}: {text}")
            }
            Self::Unreachable(text) => format!("could not connect to NATS server {server}: {text}"),
            Self::TimedOut => format!("NATS server {server} did not answer in time"),
            Self::Closed => format!("NATS server {server} closed the connection unexpectedly"),
            Self::Said(said) => format!("NATS server {server} refused the connection: {said}"),
            Self::LoginRefused { .. } => format!("NATS server {server} refused the login"),
            Self::NoTls => format!("NATS server {server} does not begin with TLS"),
            Self::CertificateLapsed(Lapse::Expired(_)) => format!("{certificate} has expired"),
            Self::CertificateLapsed(Lapse::NotYetValid(_)) => {
                format!("{certificate} is not valid yet")
            }
            Self::CertificateName { expected, .. } => {
                format!("{certificate} is not for the name \"{expected}\"")
            }
            Self::CertificateIssuer => format!("{certificate} is from an unknown authority"),
            Self::Certificate(fault) => format!("{certificate} could not be verified: {fault}"),
            Self::ClientCertificateMissing => {
                format!("NATS server {server} requires a client certificate")
            }
            Self::ClientCertificateRefused { .. } => {
                format!("NATS server {server} refused the client certificate")
            }
            Self::Tls(text) => format!("TLS with NATS server {server} failed: {text}"),
        }
    }

    /// Returns the DETAIL.
    pub(super) fn detail(&self) -> Option<String> {
        match self {
            Self::LoginRefused { said, lapse } => {
                Some(with_lapse(said, *lapse, "The JWT of the user"))
            }
            Self::ClientCertificateRefused { said, lapse } => {
                Some(with_lapse(said, *lapse, "The client certificate"))
            }
            Self::CertificateLapsed(lapse) => Some(lapse.sentence("It")),
            Self::CertificateName { names, .. } => Some(format!("It is for {names}.")),
            _ => None,
        }
    }

    /// Returns the HINT.
    pub(super) fn hint(&self, settings: &Settings) -> Option<String> {
        let first = settings.tls.first;
        let hint = match self {
            Self::LoginRefused { .. } => return Some(error::login_hint(settings)),
            Self::HostUnknown(_) | Self::Unreachable(_) => {
                "Check sr_event_writer.nats_url, and that the server runs."
            }
            Self::TimedOut | Self::Closed if !first => {
                "If the server begins with TLS (handshake_first), set sr_event_writer.nats_tls_first = on."
            }
            Self::NoTls if first => {
                "If the server does not begin with TLS (handshake_first), set sr_event_writer.nats_tls_first = off."
            }
            Self::NoTls => {
                "Configure TLS in the server, or remove the TLS settings and write nats:// in sr_event_writer.nats_url."
            }
            Self::CertificateLapsed(_) => "Renew the server's certificate, or correct a clock.",
            Self::CertificateName { .. } => {
                "Use one of its names in sr_event_writer.nats_url, or set sr_event_writer.nats_tls_server_name to it."
            }
            Self::CertificateIssuer => {
                "Set sr_event_writer.nats_tls_ca_file to the certificate of the authority that signed it."
            }
            Self::ClientCertificateMissing => {
                "Set sr_event_writer.nats_tls_cert_file and sr_event_writer.nats_tls_key_file."
            }
            Self::ClientCertificateRefused { .. } => {
                "Replace the file of sr_event_writer.nats_tls_cert_file, or let the server trust its authority."
            }
            Self::TimedOut | Self::Closed | Self::Said(_) | Self::Certificate(_) | Self::Tls(_) => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

/// Returns what somebody else said as one line of bounded length.
pub(super) fn printable(said: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    said.chars().take(MAX_SAID).map(plain).collect()
}

/// Returns what the server said, and why it may have said so.
fn with_lapse(said: &str, lapse: Option<Lapse>, subject: &str) -> String {
    let said = format!("The server said: {said}.");
    match lapse {
        Some(lapse) => format!("{said} {}", lapse.sentence(subject)),
        None => said,
    }
}

/// Finds an error of type `T` among an error and its sources.
fn source<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref::<T>() {
        return Some(found);
    }
    // The source of an I/O error is that of the error in it, which would be passed over.
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match inner {
        Some(inner) => source(inner),
        None => source(error.source()?),
    }
}

/// Returns the text of the error behind an error of the client library.
fn cause(error: &ConnectError) -> String {
    match source::<io::Error>(error) {
        Some(error) => os(error),
        None => error
            .source()
            .map_or_else(|| error.to_string(), |source| source.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: ConnectErrorKind, source: impl Into<async_nats::Error>) -> ServerError {
        ServerError::of(&ConnectError::with_source(kind, source), None, None)
    }

    fn by_tls(error: rustls::Error) -> ServerError {
        failed(ConnectErrorKind::Io, io::Error::other(error))
    }

    #[test]
    fn an_error_is_classified_by_its_innermost_source() {
        let issuer = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(matches!(by_tls(issuer), ServerError::CertificateIssuer));
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        assert!(matches!(
            by_tls(alert),
            ServerError::ClientCertificateMissing
        ));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let refused = failed(ConnectErrorKind::Io, refused);
        assert!(matches!(refused, ServerError::Unreachable(_)));
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(matches!(
            failed(ConnectErrorKind::Io, reset),
            ServerError::Closed
        ));
        let nothing = failed(ConnectErrorKind::Io, CUTS[0]);
        assert!(matches!(nothing, ServerError::Closed));
    }

    #[test]
    fn what_a_server_says_about_a_login_is_a_refused_login() {
        let said = |said: &str| {
            let error = async_nats::ServerError::Other(said.to_owned());
            failed(ConnectErrorKind::Io, error)
        };
        let expired = said("User Authentication Expired");
        assert!(matches!(expired, ServerError::LoginRefused { .. }));
        assert!(matches!(
            said("maximum connections exceeded"),
            ServerError::Said(_)
        ));
        let ServerError::Said(shown) = said(&"a\nb".repeat(1_000)) else {
            panic!("no words about a login");
        };
        assert!(shown.len() == MAX_SAID && !shown.contains('\n'));
    }
}
