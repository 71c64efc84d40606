//! TLS with servers and clients whose certificates are right, and wrong in each way.

mod client_certificate;
mod first;
mod server_certificate;
mod several_servers;

use pg_test::certificates::{Authority, Identity, Valid};
use pg_test::nats;
use pg_test::secret_files::SecretFiles;
use pg_test::stack::{Builder, Stack};

use crate::nats_faults::builder;

/// The address that the writer connects to, as a name in certificates.
const HOST: &str = "127.0.0.1";

/// The name of the authority that both sides trust.
const AUTHORITY: &str = "test authority";

/// The certificates of both sides.
struct Certificates {
    files: SecretFiles,
    authority: Authority,
}

impl Certificates {
    /// Makes an authority that both sides trust, and a certificate for the server.
    fn new() -> Self {
        let (files, authority) = (SecretFiles::new(), Authority::new(AUTHORITY));
        files.write("ca.crt", &authority.certificate());
        files.write("authority-of-clients.crt", &authority.certificate());
        let certificates = Self { files, authority };
        certificates.put(
            "server",
            &certificates.authority.server(&[HOST], Valid::Now),
        );
        certificates
    }

    /// Writes a certificate and its key.
    fn put(&self, name: &str, identity: &Identity) {
        let [certificate, key] = Self::names(name);
        self.files.write(&certificate, &identity.certificate);
        self.files.write(&key, &identity.key);
    }

    fn names(name: &str) -> [String; 2] {
        [format!("{name}.crt"), format!("{name}.key")]
    }

    /// Returns the lines of nats.conf for a server with TLS. The tests themselves come without.
    fn server(&self, more: &str) -> String {
        format!("{}\nallow_non_tls: true", self.tls_alone(more))
    }

    /// Returns the lines of nats.conf for a server that takes nobody without TLS.
    fn tls_alone(&self, more: &str) -> String {
        let [certificate, key] = Self::names("server").map(|name| self.files.setting(&name));
        let ca = self.files.setting("authority-of-clients.crt");
        format!(
            "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {ca:?}, timeout: 2\n{more} }}"
        )
    }

    /// Returns the builder of a stack whose writer trusts the authority.
    fn builder(&self, configuration: &str) -> Builder {
        let configuration = configuration.to_owned();
        builder()
            .setting(
                "sr_event_writer.nats_tls_ca_file",
                &self.files.setting("ca.crt"),
            )
            .nats(|options| options.configuration = configuration)
    }

    /// Adds the settings of a client certificate.
    fn with_client(&self, builder: Builder) -> Builder {
        let [certificate, key] = Self::names("client").map(|name| self.files.setting(&name));
        builder
            .setting("sr_event_writer.nats_tls_cert_file", &certificate)
            .setting("sr_event_writer.nats_tls_key_file", &key)
    }
}

/// Changes a setting of the writer.
async fn set(stack: &Stack, name: &str, value: &str) {
    let name = format!("sr_event_writer.{name}");
    stack.pg.alter_system(&name, value).await;
}

/// Makes the tests' own connections use TLS.
fn tests_trust(certificates: &Certificates) -> impl FnOnce(&mut nats::Options) + use<> {
    let ca = certificates.files.path("ca.crt");
    move |options| {
        let connect = async_nats::ConnectOptions::new();
        options.connect = connect.add_root_certificates(ca).require_tls(true);
    }
}
