//! The certificate that identifies the worker, and its private key.

use super::named_file::{FileError, FileRole, NamedFile};
use super::tls;
use super::validity::Lapse;
use crate::settings::ClientCertificate;
use async_nats::rustls;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore};
use std::sync::Arc;

/// First line of a private key with a passphrase.
const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// Reads certificate and key, and checks that they belong together.
pub(super) fn read(
    files: &ClientCertificate,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, FileError> {
    let (role, path) = (FileRole::Certificate, files.cert_file.as_path());
    let cert_file = NamedFile { role, path };
    let (role, path) = (FileRole::PrivateKey, files.key_file.as_path());
    let key_file = NamedFile { role, path };
    let chain = tls::certificates(cert_file)?;
    let key = private_key(key_file)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            key_file.content_error("does not belong to the certificate of nats_tls_cert_file")
        }
        Error::InvalidCertificate(_) => {
            cert_file.content_error("contains a certificate that is malformed")
        }
        _ => key_file.content_error("contains a private key of a kind that is not supported"),
    })
}

fn private_key(file: NamedFile<'_>) -> Result<PrivateKeyDer<'static>, FileError> {
    let content = file.read()?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|error| match error {
        pem::Error::NoItemsFound if content.windows(ENCRYPTED.len()).any(|w| w == ENCRYPTED) => {
            file.content_error("contains a private key with a passphrase")
        }
        pem::Error::NoItemsFound => file.content_error("contains no private key in PEM format"),
        _ => file.content_error("is malformed: its content is not PEM"),
    })
}

/// Returns why a server may have refused the certificate, as far as that shows here.
pub(super) fn lapse(
    key: &CertifiedKey,
    authorities: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
) -> Option<Lapse> {
    let (certificate, intermediates) = key.cert.split_first()?;
    // The server may have other authorities. The dates are judged first.
    let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider);
    let verifier = verifier.build().ok()?;
    let judged = verifier.verify_client_cert(certificate, intermediates, UnixTime::now());
    lapse_of(&judged.err()?)
}

/// Returns the lapse that an error is about.
pub(super) fn lapse_of(error: &Error) -> Option<Lapse> {
    let seconds = |at: &UnixTime| i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(Lapse::Expired(seconds(not_after)))
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Some(Lapse::NotYetValid(seconds(not_before)))
        }
        _ => None,
    }
}
