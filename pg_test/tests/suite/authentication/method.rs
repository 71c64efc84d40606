//! The four ways of login: what the server is told, and what the file contains.

use std::sync::{Arc, Mutex};

use async_nats::{Auth, ConnectOptions};
use nkeys::KeyPair;
use pg_test::nats::{Nats, Operator, User};

use crate::fixtures::{TESTS_USER, tests_login};

/// A way of login.
pub trait Method {
    /// The settings of a writer whose secret is in this file.
    fn settings(&self, file: &str) -> Vec<(&'static str, String)>;
    /// The setting that the hint names.
    fn setting(&self) -> &'static str;
    /// Lines of nats.conf with which the server takes the secret.
    fn configuration(&self) -> String;
    /// Options of the tests' own connections.
    fn connect(&self) -> ConnectOptions;
    /// The content of the file that the server takes now.
    fn secret(&self) -> String;
    /// A secret that the server never takes.
    fn wrong(&self) -> String;
    /// Makes another secret, and the server refuse the one before.
    fn rotate<'a>(&'a mut self, nats: &'a Nats) -> Rotation<'a>;
    /// Texts that nobody may see.
    fn hidden(&self) -> Vec<String>;
}

/// A server that learns of another secret.
pub type Rotation<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A new text that is a secret.
fn new_secret() -> String {
    let key = KeyPair::new_user().public_key();
    format!("secret {key}")
}

/// A user with a password.
pub struct Password(String);

impl Password {
    pub fn new() -> Self {
        Self(new_secret())
    }
}

impl Method for Password {
    fn settings(&self, file: &str) -> Vec<(&'static str, String)> {
        vec![
            ("nats_user", "writer".to_owned()),
            ("nats_password_file", file.to_owned()),
        ]
    }

    fn setting(&self) -> &'static str {
        "nats_password_file"
    }

    fn configuration(&self) -> String {
        let password = &self.0;
        format!(
            "authorization {{ users: [
                {TESTS_USER}
                {{ user: writer, password: {password:?} }}
            ] }}"
        )
    }

    fn connect(&self) -> ConnectOptions {
        tests_login()
    }

    fn secret(&self) -> String {
        // As an editor leaves it.
        format!("{}\n", self.0)
    }

    fn wrong(&self) -> String {
        "wrong".to_owned()
    }

    fn rotate<'a>(&'a mut self, nats: &'a Nats) -> Rotation<'a> {
        self.0 = new_secret();
        Box::pin(async { nats.reload(&self.configuration()).await })
    }

    fn hidden(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// A token. A server has one, so the tests log in with it as well.
pub struct Token(Arc<Mutex<String>>);

impl Token {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(new_secret())))
    }

    fn token(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Method for Token {
    fn settings(&self, file: &str) -> Vec<(&'static str, String)> {
        vec![("nats_token_file", file.to_owned())]
    }

    fn setting(&self) -> &'static str {
        "nats_token_file"
    }

    fn configuration(&self) -> String {
        format!("authorization {{ token: {:?} }}", self.token())
    }

    fn connect(&self) -> ConnectOptions {
        let token = self.0.clone();
        ConnectOptions::with_auth_callback(move |_| {
            let mut auth = Auth::new();
            auth.token = Some(token.lock().unwrap().clone());
            std::future::ready(Ok(auth))
        })
    }

    fn secret(&self) -> String {
        self.token()
    }

    fn wrong(&self) -> String {
        "wrong".to_owned()
    }

    fn rotate<'a>(&'a mut self, nats: &'a Nats) -> Rotation<'a> {
        Box::pin(async {
            *self.0.lock().unwrap() = new_secret();
            nats.reload(&self.configuration()).await;
        })
    }

    fn hidden(&self) -> Vec<String> {
        vec![self.token()]
    }
}

/// An nkey.
pub struct Nkey(KeyPair);

impl Nkey {
    pub fn new() -> Self {
        Self(KeyPair::new_user())
    }
}

impl Method for Nkey {
    fn settings(&self, file: &str) -> Vec<(&'static str, String)> {
        vec![("nats_nkey_seed_file", file.to_owned())]
    }

    fn setting(&self) -> &'static str {
        "nats_nkey_seed_file"
    }

    fn configuration(&self) -> String {
        format!(
            "authorization {{ users: [
                {TESTS_USER}
                {{ nkey: {} }}
            ] }}",
            self.0.public_key()
        )
    }

    fn connect(&self) -> ConnectOptions {
        tests_login()
    }

    fn secret(&self) -> String {
        self.0.seed().unwrap()
    }

    fn wrong(&self) -> String {
        KeyPair::new_user().seed().unwrap()
    }

    fn rotate<'a>(&'a mut self, nats: &'a Nats) -> Rotation<'a> {
        self.0 = KeyPair::new_user();
        Box::pin(async { nats.reload(&self.configuration()).await })
    }

    fn hidden(&self) -> Vec<String> {
        vec![self.0.seed().unwrap()]
    }
}

/// A credentials file.
pub struct Credentials {
    operator: Operator,
    tests: String,
    now: String,
}

impl Credentials {
    pub fn new() -> Self {
        let operator = Operator::new();
        Self {
            tests: operator.credentials(&User::default()),
            now: operator.credentials(&User::default()),
            operator,
        }
    }

    /// Returns the credentials of a user that is valid for this long, in seconds from now.
    pub fn valid(&self, from: Option<i64>, until: Option<i64>) -> String {
        self.operator.credentials(&User {
            valid_from: from,
            valid_until: until,
            ..User::default()
        })
    }
}

impl Method for Credentials {
    fn settings(&self, file: &str) -> Vec<(&'static str, String)> {
        vec![("nats_credentials_file", file.to_owned())]
    }

    fn setting(&self) -> &'static str {
        "nats_credentials_file"
    }

    fn configuration(&self) -> String {
        self.operator.configuration()
    }

    fn connect(&self) -> ConnectOptions {
        ConnectOptions::with_credentials(&self.tests).unwrap()
    }

    fn secret(&self) -> String {
        self.now.clone()
    }

    fn wrong(&self) -> String {
        self.operator.foreign_credentials()
    }

    fn rotate<'a>(&'a mut self, nats: &'a Nats) -> Rotation<'a> {
        self.operator.revoke(&self.now);
        self.now = self.operator.credentials(&User::default());
        Box::pin(async {
            nats.configure(&self.configuration());
            nats.restart().await;
        })
    }

    fn hidden(&self) -> Vec<String> {
        let secrets = self
            .now
            .lines()
            .filter(|line| line.len() > 50 && !line.contains('*'));
        secrets.map(str::to_owned).collect()
    }
}
