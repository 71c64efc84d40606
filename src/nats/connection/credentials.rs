//! Parses credentials files, as `nsc` makes them: the JWT of a user and the seed of the user's
//! nkey, each between lines of hyphens.

use super::named_file::{FileError, NamedFile};
use super::validity::Validity;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};
use serde_json::Value;
use zeroize::Zeroizing;

/// The beginning of a line before or after a block.
const FENCE: &str = "---";

/// What a credentials file holds.
pub(super) struct Credentials {
    /// The JWT, which the server reads. It is a secret if its user is a bearer.
    pub(super) jwt: Zeroizing<String>,
    /// The user's nkey.
    pub(super) key: KeyPair,
    /// When the JWT is valid.
    pub(super) validity: Validity,
}

/// Reads a credentials file.
pub(super) fn read(file: NamedFile<'_>) -> Result<Credentials, FileError> {
    let text = file.read_text()?;
    let mut blocks = blocks(&text);
    let jwt = blocks.next();
    let jwt = jwt.ok_or_else(|| file.content_error("contains no JWT"))?;
    let seed = blocks.next();
    let seed = seed.ok_or_else(|| file.content_error("contains no nkey seed after the JWT"))?;
    let claims = claims(jwt).ok_or_else(|| file.content_error("contains a malformed JWT"))?;
    if claims.pointer("/nats/type").and_then(Value::as_str) != Some("user") {
        return Err(file.content_error("contains a JWT that is not the JWT of a user"));
    }
    let key = user_key(seed).map_err(|fault| file.content_error(fault))?;
    if claims.get("sub").and_then(Value::as_str) != Some(&key.public_key()) {
        return Err(file.content_error("contains the JWT of one user and the nkey seed of another"));
    }
    Ok(Credentials {
        jwt: Zeroizing::new(jwt.to_owned()),
        key,
        validity: Validity::of_jwt(&claims),
    })
}

/// Reads an nkey seed file: the seed alone, or between lines of hyphens.
pub(super) fn read_seed(file: NamedFile<'_>) -> Result<KeyPair, FileError> {
    let text = file.read_text()?;
    let seed = match text.contains(FENCE) {
        true => blocks(&text).next(),
        false => Some(text.trim()),
    };
    let seed = seed.filter(|seed| !seed.is_empty());
    let seed = seed.ok_or_else(|| file.content_error("contains no nkey seed"))?;
    user_key(seed).map_err(|fault| file.content_error(fault))
}

/// Returns the key pair of a user's seed, or what is wrong with the seed.
fn user_key(seed: &str) -> Result<KeyPair, &'static str> {
    let key = KeyPair::from_seed(seed).map_err(|_| "contains a malformed nkey seed")?;
    match key.key_pair_type() {
        KeyPairType::User => Ok(key),
        _ => Err("contains an nkey seed that is not the seed of a user"),
    }
}

/// Returns the first line of each block.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    std::iter::from_fn(move || {
        lines.by_ref().find(|line| line.starts_with(FENCE))?;
        let block = lines.next()?;
        // The line of hyphens at its end, which is not the beginning of the next block.
        lines.next()?.starts_with(FENCE).then_some(block)
    })
}

/// Returns the claims of a JWT, without a check of its signature: that is the server's task.
fn claims(jwt: &str) -> Option<Value> {
    let body = jwt.split('.').nth(1)?;
    let body = URL_SAFE_NO_PAD.decode(body).ok()?;
    serde_json::from_slice(&body).ok()
}
