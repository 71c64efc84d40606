//! The TLS configuration of an attempt to connect, made from the files that the settings name.

use super::client_certificate;
use super::error::SetupError;
use super::named_file::{FileError, FileRole, NamedFile};
use super::validity::Lapse;
use crate::settings::Tls;
use async_nats::rustls;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// Chooses the library of ciphers for the whole process. Otherwise the first TLS connection would
/// panic if a dependency ever brought a second such library.
pub(super) fn choose_ciphers() {
    // Fails only if they were chosen before.
    drop(ring::default_provider().install_default());
}

/// What was read from the files.
pub(super) struct TlsFiles {
    provider: Arc<CryptoProvider>,
    authorities: Arc<RootCertStore>,
    client: Option<Arc<CertifiedKey>>,
}

impl TlsFiles {
    /// Reads the files.
    pub(super) fn read(tls: &Tls) -> Result<Self, SetupError> {
        let provider = Arc::new(ring::default_provider());
        let authorities = match &tls.ca_file {
            Some(path) => authorities(path)?,
            None => authorities_of_the_system()?,
        };
        let client = match &tls.client {
            Some(files) => Some(client_certificate::read(files, &provider)?),
            None => None,
        };
        Ok(Self {
            provider,
            authorities: Arc::new(authorities),
            client: client.map(Arc::new),
        })
    }

    /// Returns the configuration for a server whose certificate must have `name`; `None` for the
    /// host of its address.
    pub(super) fn configuration(&self, name: Option<&str>) -> Result<ClientConfig, SetupError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(
            self.authorities.clone(),
            self.provider.clone(),
        );
        let verifier = verifier.build();
        let verifier = verifier.map_err(|error| SetupError::Library(error.to_string()))?;
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| SetupError::Library(error.to_string()))?;
        let builder = match name {
            None => builder.with_webpki_verifier(verifier),
            Some(name) => {
                let bad = |_| SetupError::BadName(name.to_owned());
                let name = ServerName::try_from(name).map_err(bad)?.to_owned();
                let verifier = Arc::new(NamedVerifier { verifier, name });
                let builder = builder.dangerous();
                builder.with_custom_certificate_verifier(verifier)
            }
        };
        Ok(match &self.client {
            None => builder.with_no_client_auth(),
            Some(key) => {
                let resolver = SingleCertAndKey::from(key.clone());
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
        })
    }

    /// Returns why a server may have refused the client certificate, as far as that shows here.
    pub(super) fn client_lapse(&self) -> Option<Lapse> {
        let (key, authorities) = (self.client.as_ref()?, self.authorities.clone());
        client_certificate::lapse(key, authorities, self.provider.clone())
    }

    /// Returns whether there is a client certificate.
    pub(super) fn has_client_certificate(&self) -> bool {
        self.client.is_some()
    }
}

/// Returns the authorities of a file.
fn authorities(path: &Path) -> Result<RootCertStore, FileError> {
    let file = NamedFile {
        role: FileRole::Authorities,
        path,
    };
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(file)? {
        let added = authorities.add(certificate);
        added.map_err(|_| file.content_error("contains a certificate that is malformed"))?;
    }
    Ok(authorities)
}

/// Returns the authorities that the operating system trusts, without those that make no sense.
fn authorities_of_the_system() -> Result<RootCertStore, SetupError> {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match authorities.is_empty() {
        true => Err(SetupError::NoAuthorities),
        false => Ok(authorities),
    }
}

/// Returns the certificates of a file; at least one.
pub(super) fn certificates(file: NamedFile<'_>) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let content = file.read()?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(file.content_error("contains no certificate in PEM format"))
        }
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(file.content_error("is malformed: its content is not PEM")),
    }
}

/// Verifies a server's certificate as usual, but with another name than the host of its address.
#[derive(Debug)]
struct NamedVerifier {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (verifier, name) = (&self.verifier, &self.name);
        verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
