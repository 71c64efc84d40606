//! Servers that want a client certificate.

use pg_test::certificates::{Authority, Identity, Valid};

use super::{Certificates, set};
use crate::outages::Outages;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_verifies_clients_takes_a_valid_certificate_alone() {
    let certificates = Certificates::new();
    let own = &certificates.authority;
    certificates.put("client", &own.client("writer", Valid::Now));
    let builder = certificates.builder(&certificates.server("verify: true"));
    let stack = certificates.with_client(builder).start().await;
    let mut outages = Outages::begin(&stack).await;
    let (one, two) = (
        own.client("writer", Valid::Now),
        own.client("writer", Valid::Now),
    );
    let mixed = Identity {
        key: two.key,
        ..one.clone()
    };
    let encrypted = one.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let encrypted = Identity {
        key: encrypted,
        ..one.clone()
    };
    let refused = "refused the client certificate";
    let cases: [(Identity, &[&str], &str); 6] = [
        (
            own.client("writer", Valid::Before),
            &[refused, "certificate expired at"],
            "nats_tls_cert_file",
        ),
        (
            own.client("writer", Valid::Later),
            &[refused, "is not valid before"],
            "nats_tls_cert_file",
        ),
        (
            Authority::new("stranger").client("writer", Valid::Now),
            &[refused],
            "let the server trust",
        ),
        (
            mixed,
            &["client.key", "does not belong to the certificate"],
            "nats_tls_key_file",
        ),
        (
            encrypted,
            &["client.key", "with a passphrase"],
            "nats_tls_key_file",
        ),
        (
            one.without_key(),
            &["client.key", "contains no private key"],
            "nats_tls_key_file",
        ),
    ];
    for (identity, fault, hint) in cases {
        certificates.put("client", &identity);
        outages.cut(stack.nats.restart(), fault, hint).await;
        certificates.put("client", &own.client("writer", Valid::Now));
        outages.recovered().await;
    }
    let world_readable = async {
        certificates.files.set_mode("client.key", 0o644);
        stack.nats.restart().await;
    };
    outages
        .cut(
            world_readable,
            &["private key file", "world access"],
            "defaultMode",
        )
        .await;
    certificates.files.set_mode("client.key", 0o600);
    outages.recovered().await;
    outages.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_certificate_is_named_if_there_is_none() {
    let certificates = Certificates::new();
    certificates.put(
        "client",
        &certificates.authority.client("writer", Valid::Now),
    );
    let builder = certificates.builder(&certificates.server("verify: true"));
    let stack = certificates.with_client(builder).start().await;
    let mut outages = Outages::begin(&stack).await;
    let [certificate, key] =
        Certificates::names("client").map(|name| certificates.files.setting(&name));
    let none = async {
        stack
            .pg
            .try_alter_system("sr_event_writer.nats_tls_cert_file", "")
            .await
            .unwrap();
        set(&stack, "nats_tls_key_file", "").await;
    };
    outages
        .cut(
            none,
            &["requires a client certificate"],
            "nats_tls_cert_file",
        )
        .await;
    stack
        .pg
        .try_alter_system("sr_event_writer.nats_tls_cert_file", &certificate)
        .await
        .unwrap();
    set(&stack, "nats_tls_key_file", &key).await;
    outages.recovered().await;
    outages.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_a_login_where_the_server_maps_it_to_a_user() {
    let certificates = Certificates::new();
    let own = &certificates.authority;
    certificates.put("client", &own.client("writer", Valid::Now));
    certificates.put("tests", &own.client("tests", Valid::Now));
    let users = "authorization { users: [ { user: \"CN=tests\" }, { user: \"CN=writer\" } ] }";
    let configuration = format!(
        "{}\n{users}",
        certificates.tls_alone("verify_and_map: true")
    );
    let [certificate, key] =
        Certificates::names("tests").map(|name| certificates.files.path(&name));
    let authority = certificates.files.path("authority-of-clients.crt");
    let builder = certificates.builder(&configuration).nats(|options| {
        options.connect = async_nats::ConnectOptions::new()
            .add_root_certificates(authority)
            .add_client_certificate(certificate, key);
    });
    let stack = certificates.with_client(builder).start().await;
    let mut outages = Outages::begin(&stack).await;
    certificates.put("client", &own.client("stranger", Valid::Now));
    let refused = ["refused the login"];
    outages
        .cut(stack.nats.restart(), &refused, "verify_and_map")
        .await;
    certificates.put("client", &own.client("writer", Valid::Now));
    outages.recovered().await;
    outages.end().await;
}
