//! The settings of login and TLS.

use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

/// Refused values, and words of the explanation.
pub const REFUSED: &[(&str, &[(&str, &str)])] = &[
    (
        "nats_inbox_prefix",
        &[("", "wildcards"), ("_INBOX.>", "wildcards")],
    ),
    ("nats_credentials_file", &[("nats.creds", PATH)]),
    ("nats_nkey_seed_file", &[("SUA", PATH)]),
    ("nats_password_file", &[("s3cret", PATH)]),
    ("nats_token_file", &[("./token", PATH)]),
    ("nats_tls_ca_file", &[("ca.crt", PATH)]),
    ("nats_tls_cert_file", &[("-----BEGIN", PATH)]),
    ("nats_tls_key_file", &[("-----BEGIN", PATH)]),
    ("nats_tls_first", &[("maybe", "requires a Boolean value")]),
    ("nats_tls_server_name", &[("two words", "host name")]),
];

/// Of a setting that names a file.
const PATH: &str = "absolute path";

pub const ACCEPTED: &[(&str, &[&str])] = &[
    ("nats_inbox_prefix", &["_INBOX", "_INBOX.writer"]),
    ("nats_credentials_file", &["", "/projected/nats.creds"]),
    ("nats_nkey_seed_file", &["", "/etc/nats/seed"]),
    ("nats_user", &["", "writer"]),
    ("nats_password_file", &["", "/etc/nats/password"]),
    ("nats_token_file", &["", "/etc/nats/token"]),
    ("nats_tls_ca_file", &["", "/etc/nats/ca.crt"]),
    ("nats_tls_cert_file", &["", "/etc/nats/tls.crt"]),
    ("nats_tls_key_file", &["", "/etc/nats/tls.key"]),
    ("nats_tls_first", &["on", "off"]),
    (
        "nats_tls_server_name",
        &["", "nats.example.com", "10.0.0.1"],
    ),
];

/// The documented defaults.
pub const DEFAULTS: [(&str, &str); 11] = [
    ("nats_inbox_prefix", "_INBOX"),
    ("nats_credentials_file", ""),
    ("nats_nkey_seed_file", ""),
    ("nats_user", ""),
    ("nats_password_file", ""),
    ("nats_token_file", ""),
    ("nats_tls_ca_file", ""),
    ("nats_tls_cert_file", ""),
    ("nats_tls_key_file", ""),
    ("nats_tls_first", "off"),
    ("nats_tls_server_name", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_an_address_is_refused_and_not_repeated() {
    let stack = Stack::builder().without_tables().disabled().start().await;
    let url = "nats://good:4222, nats://user:s3cret@nats:4222";
    let set = stack.pg.try_alter_system("sr_event_writer.nats_url", url);
    let refused = set.await.unwrap_err();
    assert!(
        refused.message.contains("sr_event_writer.nats_url"),
        "{refused}"
    );
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
    // A file is read without a statement, so nothing else would be in the log.
    let settings = [("sr_event_writer.nats_url".to_owned(), url.to_owned())];
    stack.pg.configure("timescaledb,sr_event_writer", &settings);
    let before = stack.pg.log().len();
    stack.pg.reload().await;
    let log = || stack.pg.log()[before..].to_owned();
    eventually(SOON, "the reload is refused", async || {
        log().contains("nats_url")
    })
    .await;
    assert!(!log().contains("s3cret"), "{}", log());
}
