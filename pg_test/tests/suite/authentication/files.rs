//! Files whose content is not what it has to be. Each next one is noticed although the next attempt
//! is an hour away.

use std::fs;

use nkeys::KeyPair;
use pg_test::nats::{Operator, User};
use pg_test::secret_files::SecretFiles;
use pg_test::stack::{SOON, Stack};

use super::FILE;
use crate::nats_faults::{builder, status_says, stream_says};

/// The settings that name a secret, and those that go with it.
const SETTINGS: [&str; 5] = [
    "nats_credentials_file",
    "nats_nkey_seed_file",
    "nats_user",
    "nats_password_file",
    "nats_token_file",
];

/// Starts a writer without a server. It tries again after an hour.
async fn start() -> Stack {
    builder()
        .setting("sr_event_writer.retry_min_delay", "1h")
        .setting("sr_event_writer.retry_max_delay", "1h")
        .without_nats()
        .start()
        .await
}

/// Makes the writer use one way of login.
async fn log_in_with(stack: &Stack, settings: &[(&str, &str)]) {
    for name in SETTINGS {
        let value = settings.iter().find(|(set, _)| *set == name);
        let value = value.map_or("", |(_, value)| value);
        let name = format!("sr_event_writer.{name}");
        stack
            .pg
            .try_alter_system(&name, value)
            .await
            .expect("a setting");
    }
    stack.pg.reload().await;
}

/// Writes each of these contents, and waits until the status tells what is wrong with it.
async fn expect_faults(stack: &Stack, files: &SecretFiles, cases: &[(String, &str)]) {
    for (content, fault) in cases {
        files.write(FILE, content);
        stream_says(stack, SOON, "degraded", &[FILE, fault]).await;
        status_says(
            stack,
            SOON,
            &["Replace the file, or correct sr_event_writer.nats_"],
        )
        .await;
    }
}

/// Waits until the status tells only that there is no server.
async fn expect_nothing_wrong_but_the_server(stack: &Stack) {
    let fault = "could not connect to NATS server";
    stream_says(stack, SOON, "degraded", &[fault]).await;
}

/// Credentials of the first user, with the seed of the second.
fn mixed(first: &str, second: &str) -> String {
    let (jwt, _) = first.split_once("*****").expect("two blocks");
    let (_, seed) = second.split_once("*****").expect("two blocks");
    format!("{jwt}{seed}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_credentials_file_is_named() {
    let (files, stack, operator) = (SecretFiles::new(), start().await, Operator::new());
    let file = files.setting(FILE);
    log_in_with(&stack, &[("nats_credentials_file", &file)]).await;
    let user = || operator.credentials(&User::default());
    let jwt_alone = mixed(&user(), "***** nothing");
    let cases = [
        (String::new(), "contains no JWT"),
        (jwt_alone, "contains no nkey seed after the JWT"),
        (user().replace('.', ","), "contains a malformed JWT"),
        (operator.account_credentials(), "is not the JWT of a user"),
        (
            mixed(&user(), &user()),
            "of one user and the nkey seed of another",
        ),
        (
            user().replace("SEED-----\nSU", "SEED-----\nSUA"),
            "contains a malformed nkey seed",
        ),
    ];
    expect_faults(&stack, &files, &cases).await;
    files.write(FILE, &user());
    expect_nothing_wrong_but_the_server(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_seed_a_password_or_a_token_file_is_named() {
    let (files, stack) = (SecretFiles::new(), start().await);
    let file = files.setting(FILE);
    log_in_with(&stack, &[("nats_nkey_seed_file", &file)]).await;
    let account = KeyPair::new_account().seed().expect("a seed");
    let cases = [
        ("\n".to_owned(), "contains no nkey seed"),
        ("SUAA".to_owned(), "contains a malformed nkey seed"),
        (account, "is not the seed of a user"),
    ];
    expect_faults(&stack, &files, &cases).await;

    log_in_with(
        &stack,
        &[("nats_user", "me"), ("nats_password_file", &file)],
    )
    .await;
    let large = "x".repeat((1 << 20) + 1);
    let cases = [
        ("\n".to_owned(), "NATS password file"),
        ("one\ntwo".to_owned(), "has more than one line"),
        (large, "is larger than 1 MB"),
    ];
    expect_faults(&stack, &files, &cases).await;

    log_in_with(&stack, &[("nats_token_file", &file)]).await;
    expect_faults(&stack, &files, &[(String::new(), "is empty")]).await;
    files.remove(FILE);
    fs::create_dir(files.path(FILE)).expect("a folder");
    stream_says(&stack, SOON, "degraded", &[FILE, "is not a regular file"]).await;
    fs::remove_dir(files.path(FILE)).expect("no folder");
    fs::write(files.path(FILE), [0xff, 0xfe]).expect("write bytes");
    files.set_mode(FILE, 0o400);
    stream_says(
        &stack,
        SOON,
        "degraded",
        &["could not open", "Permission denied"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_contradict_each_other_stop_the_writer_with_the_reason() {
    let stack = builder().without_nats().start().await;
    let two = [("nats_nkey_seed_file", "/a"), ("nats_token_file", "/b")];
    log_in_with(&stack, &two).await;
    status_says(
        &stack,
        SOON,
        &["misconfigured", "nats_nkey_seed_file and nats_token_file"],
    )
    .await;
    log_in_with(&stack, &[("nats_user", "me")]).await;
    status_says(
        &stack,
        SOON,
        &["misconfigured", "nats_user needs nats_password_file"],
    )
    .await;
    log_in_with(&stack, &[]).await;
    expect_nothing_wrong_but_the_server(&stack).await;
}
