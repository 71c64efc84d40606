//! Each way of login, with right and wrong secrets, and with files that change or cannot be read.

mod files;
mod log;
mod memory;
mod method;

use pg_test::nats;
use pg_test::secret_files::SecretFiles;
use pg_test::stack::Stack;

use crate::nats_faults::builder;
use crate::outages::Outages;
use method::Method;

/// Seconds for which credentials are valid that expire while they are used.
const SHORT: i64 = 5;
/// The file of the secret.
const FILE: &str = "secret";

/// What is wrong with the file.
enum Fault {
    Missing,
    Mode(u32),
    Content(String),
}

impl Fault {
    fn inflict(&self, files: &SecretFiles) {
        match self {
            Self::Missing => files.remove(FILE),
            Self::Mode(mode) => files.set_mode(FILE, *mode),
            Self::Content(content) => files.write(FILE, content),
        }
    }
}

/// Starts a stack whose writer logs in with a secret from a file.
async fn start(method: &dyn Method, files: &SecretFiles) -> Stack {
    files.write(FILE, &method.secret());
    let mut builder = builder();
    for (name, value) in method.settings(&files.setting(FILE)) {
        builder = builder.setting(&format!("sr_event_writer.{name}"), &value);
    }
    let (configuration, connect) = (method.configuration(), method.connect());
    let with_login = |options: &mut nats::Options| {
        options.configuration = configuration;
        options.connect = connect;
    };
    builder.nats(with_login).start().await
}

/// The writer's file is right, outdated, replaced, missing, unreadable, readable for others, and
/// wrong; every message is a row, once, and the secrets are nowhere.
async fn live_with(method: &mut dyn Method) {
    let files = SecretFiles::new();
    let stack = start(method, &files).await;
    let (setting, mut secrets) = (method.setting(), method.hidden());
    let mut outages = Outages::begin(&stack).await;
    let refused = ["refused the login", "Authorization Violation"];
    outages
        .cut(method.rotate(&stack.nats), &refused, setting)
        .await;
    files.write(FILE, &method.secret());
    outages.recovered().await;

    let missing = ["could not open", FILE, "No such file"];
    let unreadable = ["could not open", FILE, "Permission denied"];
    let faults = [
        (Fault::Missing, &missing[..], setting),
        (Fault::Mode(0o000), &unreadable[..], "readable"),
        (
            Fault::Mode(0o644),
            &["group or world access", "0640"],
            "defaultMode",
        ),
        (Fault::Content(method.wrong()), &refused[..1], setting),
    ];
    for (fault, detail, hint) in faults {
        fault.inflict(&files);
        outages.cut(stack.nats.restart(), detail, hint).await;
        files.write(FILE, &method.secret());
        outages.recovered().await;
    }
    outages.end().await;
    secrets.extend(method.hidden());
    assert_hidden(&stack, &secrets).await;
}

/// None of these texts is in the server log, the status or the settings.
async fn assert_hidden(stack: &Stack, secrets: &[String]) {
    let status = stack.status().await.expect("the status").to_string();
    let settings = "SELECT coalesce(string_agg(s::text, ' '), '') FROM pg_settings s";
    let settings: String = stack.pg.value(settings).await;
    let places = [
        ("log", stack.pg.log()),
        ("status", status),
        ("settings", settings),
    ];
    for (place, text) in places {
        let found = secrets.iter().find(|secret| text.contains(secret.as_str()));
        assert!(found.is_none(), "a secret is in the {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_read_from_its_file_at_each_connect() {
    live_with(&mut method::Password::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_read_from_its_file_at_each_connect() {
    live_with(&mut method::Token::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey_seed_is_read_from_its_file_at_each_connect() {
    live_with(&mut method::Nkey::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_read_from_their_file_at_each_connect() {
    live_with(&mut method::Credentials::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_not_valid_now_are_named_and_replaced_when_they_expire() {
    let files = SecretFiles::new();
    let method = method::Credentials::new();
    let stack = start(&method, &files).await;
    let mut outages = Outages::begin(&stack).await;
    let cases = [
        (
            method.valid(None, Some(-60)),
            "The JWT of the user expired at",
        ),
        (
            method.valid(Some(3600), None),
            "The JWT of the user is not valid before",
        ),
    ];
    for (credentials, why) in cases {
        files.write(FILE, &credentials);
        let refused = ["refused the login", why];
        outages
            .cut(stack.nats.restart(), &refused, method.setting())
            .await;
        files.write(FILE, &method.secret());
        outages.recovered().await;
    }
    // The server ends the connection of a user that expires.
    files.write(FILE, &method.valid(None, Some(SHORT)));
    let refused = ["refused the login", "The JWT of the user expired at"];
    outages
        .cut(stack.nats.restart(), &refused, method.setting())
        .await;
    files.write(FILE, &method.secret());
    outages.recovered().await;
    outages.end().await;
}
