//! Servers that begin with TLS, and those that speak first.

use super::{Certificates, set, tests_trust};
use crate::outages::Outages;

#[tokio::test(flavor = "multi_thread")]
async fn tls_begins_first_if_both_sides_agree() {
    let certificates = Certificates::new();
    let first = certificates.tls_alone("handshake_first: true");
    let stack = certificates
        .builder(&first)
        .nats(tests_trust(&certificates))
        .nats(|options| options.connect = options.connect.clone().tls_first())
        .setting("sr_event_writer.nats_tls_first", "on")
        .start()
        .await;
    let mut outages = Outages::begin(&stack).await;
    outages
        .cut(
            set(&stack, "nats_tls_first", "off"),
            &["NATS server"],
            "nats_tls_first = on",
        )
        .await;
    set(&stack, "nats_tls_first", "on").await;
    outages.recovered().await;
    outages.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_first_is_named() {
    let certificates = Certificates::new();
    let stack = certificates.builder(&certificates.server("")).start().await;
    let mut outages = Outages::begin(&stack).await;
    let on = set(&stack, "nats_tls_first", "on");
    outages
        .cut(on, &["does not begin with TLS"], "nats_tls_first = off")
        .await;
    set(&stack, "nats_tls_first", "off").await;
    outages.recovered().await;
    outages.end().await;
}
