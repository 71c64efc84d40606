//! Several servers in `nats_url`, of which some cannot be used.

use async_nats::jetstream::stream::RetentionPolicy;
use pg_test::certificates::Valid;
use pg_test::nats::{Cluster, Nats, Options};
use pg_test::port::Port;

use super::{Certificates, set, tests_trust};
use crate::nats_faults::{FEED, RECOVERY, builder, publish, status_says, stream_says};
use crate::outages::Outages;
use pg_test::stack::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_the_login_does_not_keep_the_writer_from_another() {
    let closed = Nats::create(Options {
        configuration: "authorization { token: other }".to_owned(),
        connect: async_nats::ConnectOptions::with_token("other".to_owned()),
        ..Options::default()
    });
    closed.start().await;
    let nobody = Port::reserve();
    let port = Port::reserve();
    let open = format!("nats://127.0.0.1:{}", port.number());
    let unusable = format!("nats://127.0.0.1:{}, {}", nobody.number(), closed.url());
    let stack = builder()
        .nats(|options| options.placement.port = Some(port))
        .nats_url(&format!("{unusable}, {open}"))
        .start()
        .await;
    let mut outages = Outages::begin(&stack).await;
    status_says(&stack, SOON, &[&open["nats://".len()..]]).await;
    // What says most is shown, and the others beside it.
    let without = set(&stack, "nats_url", &unusable);
    let detail = [
        "refused the login",
        "Also, could not connect to NATS server",
    ];
    outages.cut(without, &detail, "nats_token_file").await;
    set(&stack, "nats_url", &format!("{unusable}, {open}")).await;
    outages.recovered().await;
    outages.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_in_an_address_is_required_of_that_server() {
    let certificates = Certificates::new();
    let stack = builder().start().await;
    let mut outages = Outages::begin(&stack).await;
    let tls = stack.nats.url().replace("nats://", "tls://");
    outages
        .cut(
            set(&stack, "nats_url", &tls),
            &["does not begin with TLS"],
            "nats://",
        )
        .await;
    // An authority requires TLS, too.
    let plain = stack.nats.url();
    let ca = certificates.files.setting("ca.crt");
    let with_authority = async {
        stack
            .pg
            .try_alter_system("sr_event_writer.nats_url", &plain)
            .await
            .unwrap();
        set(&stack, "nats_tls_ca_file", &ca).await;
    };
    outages
        .cut(with_authority, &["does not begin with TLS"], "nats://")
        .await;
    stack.nats.configure(&certificates.server(""));
    stack.nats.restart().await;
    outages.recovered().await;
    outages.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_that_only_the_server_requires_is_verified_with_the_authorities_of_the_system() {
    let certificates = Certificates::new();
    let required = certificates.tls_alone("");
    let trust = tests_trust(&certificates);
    let stack = builder()
        .nats(|options| {
            trust(options);
            options.configuration = required;
        })
        .start()
        .await;
    let fault = "is from an unknown authority";
    stream_says(&stack, SOON, "degraded", &["TLS certificate", fault]).await;
    set(
        &stack,
        "nats_tls_ca_file",
        &certificates.files.setting("ca.crt"),
    )
    .await;
    Outages::begin(&stack).await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_another_one_names_is_used_under_the_name_of_that_one() {
    let certificates = Certificates::new();
    certificates.put(
        "server",
        &certificates.authority.server(&["localhost"], Valid::Now),
    );
    let cluster = Cluster::start_advertised(&certificates.server("")).await;
    cluster
        .create_stream(&FEED.stream(), &[&FEED.subjects()], RetentionPolicy::Limits)
        .await;
    let [first, ..] = cluster.servers();
    let only = format!("tls://localhost:{}", first.port());
    let stack = certificates
        .builder("")
        .without_streams()
        .cluster(&cluster)
        .setting("sr_event_writer.nats_url", &only)
        .start()
        .await;
    publish(&cluster, 0..100).await;
    stack.expect_rows(FEED, 100, RECOVERY).await;
    first.stop().await;
    publish(&cluster, 100..200).await;
    stack.expect_rows(FEED, 200, RECOVERY).await;
    status_says(&stack, SOON, &["\"server\":\"127.0.0.1:"]).await;
}
