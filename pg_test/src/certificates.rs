//! Certificates for servers and clients, and the authorities that sign them.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};

/// An authority.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, in PEM format.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    /// From yesterday until tomorrow.
    Now,
    /// Until an hour ago.
    Before,
    /// From an hour hence on.
    Later,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Authority {
    /// Creates an authority.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    /// Returns the authority's own certificate in PEM format.
    pub fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// Makes a certificate for a server with these names or addresses.
    pub fn server(&self, names: &[&str], valid: Valid) -> Identity {
        self.sign(names, "server", ExtendedKeyUsagePurpose::ServerAuth, valid)
    }

    /// Makes a certificate for a client with this common name.
    pub fn client(&self, name: &str, valid: Valid) -> Identity {
        self.sign(&[], name, ExtendedKeyUsagePurpose::ClientAuth, valid)
    }

    fn sign(
        &self,
        names: &[&str],
        common_name: &str,
        purpose: ExtendedKeyUsagePurpose,
        valid: Valid,
    ) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of a certificate");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![purpose];
        let now = SystemTime::now();
        let (from, until) = match valid {
            Valid::Now => (now - DAY, now + DAY),
            Valid::Before => (now - DAY, now - HOUR),
            Valid::Later => (now + HOUR, now + DAY),
        };
        (params.not_before, params.not_after) = (from.into(), until.into());
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            certificate: signed.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Identity {
    /// Returns a copy with nothing in place of the key.
    pub fn without_key(&self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: "nothing".to_owned(),
        }
    }
}
