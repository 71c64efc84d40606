//! The login: read from files for each attempt to connect, and dropped when the attempt is over.
//! Keys leave this process only as signatures.

use super::credentials;
use super::named_file::{FileError, FileRole, NamedFile};
use super::validity::{Lapse, Validity};
use crate::settings::Authentication;
use async_nats::{Auth, AuthError};
use nkeys::KeyPair;
use zeroize::Zeroizing;

/// What the worker shows to a server.
pub(super) enum Login {
    /// The JWT of a user, and a signature by its nkey.
    Jwt {
        jwt: Zeroizing<String>,
        key: KeyPair,
        validity: Validity,
    },
    /// An nkey, and a signature by it.
    Nkey(KeyPair),
    /// A user name and a password.
    Password {
        user: String,
        password: Zeroizing<String>,
    },
    /// A token.
    Token(Zeroizing<String>),
}

impl Login {
    /// Reads the files of a login. `None` if the settings name none.
    pub(super) fn read(authentication: &Authentication) -> Result<Option<Self>, FileError> {
        let file = |role, path| NamedFile { role, path };
        Ok(Some(match authentication {
            Authentication::None => return Ok(None),
            Authentication::Credentials { file: path } => {
                let read = credentials::read(file(FileRole::Credentials, path))?;
                let (jwt, key, validity) = (read.jwt, read.key, read.validity);
                Self::Jwt { jwt, key, validity }
            }
            Authentication::Nkey { seed_file } => {
                Self::Nkey(credentials::read_seed(file(FileRole::NkeySeed, seed_file))?)
            }
            Authentication::Password {
                user,
                password_file,
            } => Self::Password {
                user: user.clone(),
                password: file(FileRole::Password, password_file).read_line()?,
            },
            Authentication::Token { file: path } => {
                Self::Token(file(FileRole::Token, path).read_line()?)
            }
        }))
    }

    /// Returns the answer to a server that has sent this nonce. The client library keeps it only
    /// until it is sent.
    pub(super) fn answer(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let sign = |key: &KeyPair| key.sign(nonce).map(Some).map_err(AuthError::new);
        let mut auth = Auth::new();
        match self {
            Self::Jwt { jwt, key, .. } => {
                auth.jwt = Some(jwt.to_string());
                auth.signature = sign(key)?;
            }
            Self::Nkey(key) => {
                auth.nkey = Some(key.public_key());
                auth.signature = sign(key)?;
            }
            Self::Password { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(password.to_string());
            }
            Self::Token(token) => auth.token = Some(token.to_string()),
        }
        Ok(auth)
    }

    /// Returns why the server may have refused it, as far as that shows here.
    pub(super) fn lapse(&self) -> Option<Lapse> {
        match self {
            Self::Jwt { validity, .. } => validity.lapse(),
            Self::Nkey(_) | Self::Password { .. } | Self::Token(_) => None,
        }
    }
}
