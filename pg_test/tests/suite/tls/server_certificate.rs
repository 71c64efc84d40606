//! What the writer has against a server.

use pg_test::certificates::{Authority, Valid};

use super::{AUTHORITY, Certificates, HOST, set};
use crate::outages::Outages;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_certificate_is_wrong_is_not_used_and_the_fault_is_named() {
    let certificates = Certificates::new();
    let configuration = certificates.server("");
    let stack = certificates.builder(&configuration).start().await;
    let mut outages = Outages::begin(&stack).await;
    let own = &certificates.authority;
    // A stranger, and one that has taken over the name.
    let (stranger, other) = (Authority::new("stranger"), Authority::new(AUTHORITY));
    let names = [HOST];
    let cases = [
        (
            stranger.server(&names, Valid::Now),
            "is from an unknown authority",
            "nats_tls_ca_file",
        ),
        (
            other.server(&names, Valid::Now),
            "is from an unknown authority",
            "nats_tls_ca_file",
        ),
        (
            own.server(&names, Valid::Before),
            "has expired. It expired at",
            "Renew",
        ),
        (
            own.server(&names, Valid::Later),
            "is not valid yet. It is not valid before",
            "Renew",
        ),
        (
            own.server(&["nats"], Valid::Now),
            "is not for the name \"127.0.0.1\"",
            "server_name",
        ),
    ];
    for (identity, fault, hint) in cases {
        certificates.put("server", &identity);
        outages
            .cut(stack.nats.restart(), &["TLS certificate", fault], hint)
            .await;
        certificates.put("server", &own.server(&names, Valid::Now));
        stack.nats.restart().await;
        outages.recovered().await;
    }
    // Without TLS.
    let plain = async {
        stack.nats.configure("");
        stack.nats.restart().await;
    };
    outages
        .cut(
            plain,
            &["does not begin with TLS"],
            "Configure TLS in the server",
        )
        .await;
    stack.nats.configure(&configuration);
    stack.nats.restart().await;
    outages.recovered().await;
    // Another authority for both sides.
    certificates.put("server", &other.server(&names, Valid::Now));
    outages
        .cut(
            stack.nats.restart(),
            &["is from an unknown authority"],
            "nats_tls_ca_file",
        )
        .await;
    certificates.files.write("ca.crt", &other.certificate());
    outages.recovered().await;
    outages.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_file_that_is_missing_or_no_certificate_is_named() {
    let certificates = Certificates::new();
    let stack = certificates.builder(&certificates.server("")).start().await;
    let mut outages = Outages::begin(&stack).await;
    let certificate = certificates.authority.certificate();
    let faults: [(&dyn Fn(), &str); 3] = [
        (
            &|| certificates.files.remove("ca.crt"),
            "could not open NATS TLS CA file",
        ),
        (
            &|| certificates.files.write("ca.crt", "nothing"),
            "contains no certificate",
        ),
        (
            &|| {
                certificates
                    .files
                    .write("ca.crt", &certificate.replace("MII", "MIJ"))
            },
            "malformed",
        ),
    ];
    for (fault, text) in faults {
        fault();
        outages
            .cut(stack.nats.restart(), &["ca.crt", text], "nats_tls_ca_file")
            .await;
        certificates.files.write("ca.crt", &certificate);
        outages.recovered().await;
    }
    outages.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_server_may_differ_from_the_host_of_its_address() {
    let certificates = Certificates::new();
    certificates.put(
        "server",
        &certificates
            .authority
            .server(&["nats.example.com"], Valid::Now),
    );
    let stack = certificates
        .builder(&certificates.server(""))
        .setting("sr_event_writer.nats_tls_server_name", "nats.example.com")
        .start()
        .await;
    let mut outages = Outages::begin(&stack).await;
    let other = set(&stack, "nats_tls_server_name", "other.example.com");
    let fault = "is not for the name \"other.example.com\". It is for";
    outages
        .cut(other, &[fault, "nats.example.com"], "server_name")
        .await;
    set(&stack, "nats_tls_server_name", "nats.example.com").await;
    outages.recovered().await;
    outages.end().await;
}
