//! An operator with two accounts, one for the system and one for streams, and users of the latter:
//! what `nsc` makes, without `nsc`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator, and the account to which the users belong.
#[derive(Debug)]
pub struct Operator {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
    /// Public keys of the users that the account has revoked.
    revoked: Vec<String>,
}

/// A user. Its credentials are valid between two times, in seconds from now.
#[derive(Debug, Clone)]
pub struct User {
    /// First second of validity; `None` for no limit.
    pub valid_from: Option<i64>,
    /// Last second of validity; `None` for no limit.
    pub valid_until: Option<i64>,
    /// Permissions, as in the JWT: `{"pub": {"allow": [...]}, "sub": ...}`.
    pub permissions: Value,
}

impl Default for User {
    fn default() -> Self {
        Self {
            valid_from: None,
            valid_until: None,
            permissions: json!({}),
        }
    }
}

impl Operator {
    /// Creates an operator and its accounts.
    #[allow(clippy::new_without_default, reason = "each has other keys")]
    pub fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
            revoked: Vec::new(),
        }
    }

    /// Revokes the user of these credentials, in the configuration from now on.
    pub fn revoke(&mut self, credentials: &str) {
        let seeds = credentials.lines().find(|line| line.starts_with("SU"));
        let key = KeyPair::from_seed(seeds.expect("a seed")).expect("a key");
        self.revoked.push(key.public_key());
    }

    /// Returns the lines of nats.conf that make a server obey the operator.
    pub fn configuration(&self) -> String {
        let (system, account) = (self.system.public_key(), self.account.public_key());
        let claims = json!({ "type": "operator", "version": 2, "system_account": system });
        let operator = jwt(&self.operator, &self.operator, json!({ "nats": claims }));
        format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {system}: {}\n {account}: {} }}",
            self.account_jwt(&self.system, 0),
            self.account_jwt(&self.account, -1),
        )
    }

    fn account_jwt(&self, account: &KeyPair, storage: i64) -> String {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1, "mem_storage": storage, "disk_storage": storage,
            "streams": storage, "consumer": storage,
        });
        let revoked = self
            .revoked
            .iter()
            .map(|key| (key.clone(), json!(now() + 1)));
        let claims = json!({
            "type": "account", "version": 2, "limits": limits,
            "revocations": revoked.collect::<serde_json::Map<_, _>>(),
        });
        jwt(&self.operator, account, json!({ "nats": claims }))
    }

    /// Returns the text of a credentials file for a new user.
    pub fn credentials(&self, user: &User) -> String {
        self.credentials_signed_by(&self.account, user)
    }

    /// Returns the credentials of a user whose account no server knows.
    pub fn foreign_credentials(&self) -> String {
        self.credentials_signed_by(&KeyPair::new_account(), &User::default())
    }

    fn credentials_signed_by(&self, account: &KeyPair, user: &User) -> String {
        let key = KeyPair::new_user();
        let seed = key.seed().expect("a new key has a seed");
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n",
            user.jwt(account, &key)
        )
    }

    /// Returns a JWT of the account, which is no login.
    pub fn account_credentials(&self) -> String {
        let seed = self.account.seed().expect("a new key has a seed");
        let jwt = self.account_jwt(&self.account, -1);
        format!("-----BEGIN-----\n{jwt}\n-----END-----\n-----BEGIN-----\n{seed}\n-----END-----\n")
    }
}

impl User {
    fn jwt(&self, account: &KeyPair, key: &KeyPair) -> String {
        let mut nats = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": {}, "sub": {},
        });
        for (name, value) in self.permissions.as_object().expect("an object") {
            nats[name] = value.clone();
        }
        let at = |seconds: Option<i64>| seconds.map_or(0, |seconds| now() + seconds);
        let claims = json!({
            "nats": nats, "nbf": at(self.valid_from), "exp": at(self.valid_until),
        });
        jwt(account, key, claims)
    }
}

/// Returns a JWT about `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, mut claims: Value) -> String {
    claims["iss"] = json!(issuer.public_key());
    claims["sub"] = json!(subject.public_key());
    claims["name"] = json!("test");
    claims["iat"] = json!(now());
    claims["jti"] = json!(KeyPair::new_user().public_key());
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let body = format!("{}.{}", encode(&header), encode(&claims));
    let signature = issuer.sign(body.as_bytes()).expect("a key with a seed");
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.expect("a clock").as_secs()).expect("a time")
}
