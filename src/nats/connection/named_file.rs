//! Reads the files that settings name. Nothing is kept: each attempt to connect reads them again,
//! so that a new password or certificate needs no restart. A secret that others can read is
//! refused, by the rules that PostgreSQL has for `ssl_key_file`.

use std::fmt::{self, Display, Formatter};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest accepted file: many times the size of any credentials file or list of certificates.
const MAX_BYTES: u64 = 1 << 20;
/// Spare room in the buffer of a file, with which the standard library reads into it directly and
/// leaves no copy elsewhere.
const SPARE_BYTES: usize = 64;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileRole {
    Credentials,
    NkeySeed,
    Password,
    Token,
    Authorities,
    Certificate,
    PrivateKey,
}

impl FileRole {
    /// Returns the name for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Credentials => "NATS credentials file",
            Self::NkeySeed => "NATS nkey seed file",
            Self::Password => "NATS password file",
            Self::Token => "NATS token file",
            Self::Authorities => "NATS TLS CA file",
            Self::Certificate => "NATS TLS certificate file",
            Self::PrivateKey => "NATS TLS private key file",
        }
    }

    /// Returns the setting that names the file.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::Credentials => "sr_event_writer.nats_credentials_file",
            Self::NkeySeed => "sr_event_writer.nats_nkey_seed_file",
            Self::Password => "sr_event_writer.nats_password_file",
            Self::Token => "sr_event_writer.nats_token_file",
            Self::Authorities => "sr_event_writer.nats_tls_ca_file",
            Self::Certificate => "sr_event_writer.nats_tls_cert_file",
            Self::PrivateKey => "sr_event_writer.nats_tls_key_file",
        }
    }

    fn is_secret(self) -> bool {
        !matches!(self, Self::Authorities | Self::Certificate)
    }
}

/// A file with the setting that names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedFile<'a> {
    pub(super) role: FileRole,
    pub(super) path: &'a Path,
}

/// Why a file cannot be used. Nothing of its content is part of any text.
#[derive(Debug)]
pub(super) struct FileError {
    pub(super) role: FileRole,
    path: PathBuf,
    pub(super) fault: FileFault,
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum FileFault {
    /// It cannot be opened.
    Open(io::Error),
    /// It cannot be read.
    Read(io::Error),
    /// It is a directory or a device.
    NotRegular,
    /// It belongs to neither PostgreSQL's user nor root.
    Owner,
    /// Others than its owner can read it.
    Access,
    /// It is larger than any of these files.
    TooLarge,
    /// Its content is not what it has to be.
    Content(&'static str),
}

impl Display for FileError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, path) = (self.role.name(), self.path.display());
        match &self.fault {
            FileFault::Open(error) => write!(f, "could not open {name} \"{path}\": {}", os(error)),
            FileFault::Read(error) => write!(f, "could not read {name} \"{path}\": {}", os(error)),
            FileFault::NotRegular => write!(f, "{name} \"{path}\" is not a regular file"),
            FileFault::Owner => {
                write!(
                    f,
                    "{name} \"{path}\" must be owned by the database user or root"
                )
            }
            FileFault::Access => write!(f, "{name} \"{path}\" has group or world access"),
            FileFault::TooLarge => write!(f, "{name} \"{path}\" is larger than 1 MB"),
            FileFault::Content(fault) => write!(f, "{name} \"{path}\" {fault}"),
        }
    }
}

impl std::error::Error for FileError {}

/// Returns the operating system's text of an error, as PostgreSQL shows it.
pub(super) fn os(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text.get(..end).unwrap_or(&text).to_owned()
}

impl NamedFile<'_> {
    /// Returns the error that the file has this fault.
    pub(super) fn error(&self, fault: FileFault) -> FileError {
        let (role, path) = (self.role, self.path.to_owned());
        FileError { role, path, fault }
    }

    /// Returns the error that the file's content is not what it has to be: `fault` completes the
    /// sentence that begins with its name.
    pub(super) fn content_error(&self, fault: &'static str) -> FileError {
        self.error(FileFault::Content(fault))
    }

    /// Returns the content of the file, which is wiped from memory when it is dropped.
    pub(super) fn read(&self) -> Result<Zeroizing<Vec<u8>>, FileError> {
        // A named pipe would block without this flag.
        let mut options = OpenOptions::new();
        let opened = options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = opened.open(self.path);
        let file = file.map_err(|error| self.error(FileFault::Open(error)))?;
        let metadata = file.metadata();
        let metadata = metadata.map_err(|error| self.error(FileFault::Read(error)))?;
        self.judge(&metadata)?;
        let content = content(file, metadata.len());
        content.map_err(|error| self.error(FileFault::Read(error)))
    }

    /// Returns the file's text without line breaks at its end. It has one line.
    pub(super) fn read_line(&self) -> Result<Zeroizing<String>, FileError> {
        let text = self.read_text()?;
        let line = text.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Err(self.content_error("is empty"));
        }
        if line.contains(['\r', '\n']) {
            return Err(self.content_error("has more than one line"));
        }
        Ok(Zeroizing::new(line.to_owned()))
    }

    /// Returns the file's text.
    pub(super) fn read_text(&self) -> Result<Zeroizing<String>, FileError> {
        let mut bytes = self.read()?;
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(self.content_error("is not UTF-8 text"))
            }
        }
    }

    fn judge(&self, metadata: &Metadata) -> Result<(), FileError> {
        if !metadata.is_file() {
            return Err(self.error(FileFault::NotRegular));
        }
        if metadata.len() > MAX_BYTES {
            return Err(self.error(FileFault::TooLarge));
        }
        if !self.role.is_secret() {
            return Ok(());
        }
        // SAFETY: takes and touches no memory.
        let user = unsafe { libc::geteuid() };
        match access_fault(metadata.uid(), metadata.mode(), user) {
            Some(fault) => Err(self.error(fault)),
            None => Ok(()),
        }
    }
}

/// Returns what is wrong with owner and mode of a secret file, by the rules that PostgreSQL has for
/// its private key: the file belongs to `user` alone, or to root and one group at most. The latter
/// is how Kubernetes mounts secrets.
fn access_fault(owner: u32, mode: u32, user: u32) -> Option<FileFault> {
    let forbidden = match owner {
        0 if user != 0 => 0o037,
        _ if owner == user => 0o077,
        _ => return Some(FileFault::Owner),
    };
    (mode & forbidden != 0).then_some(FileFault::Access)
}

fn content(file: File, size: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let capacity = usize::try_from(size).unwrap_or_default() + SPARE_BYTES;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTGRES: u32 = 101;

    #[test]
    fn a_secret_is_readable_by_its_owner_alone_or_belongs_to_root_and_one_group() {
        for (owner, mode) in [(POSTGRES, 0o600), (POSTGRES, 0o400), (0, 0o640), (0, 0o440)] {
            let fault = access_fault(owner, mode | libc::S_IFREG, POSTGRES);
            assert!(fault.is_none(), "{owner} {mode:o}");
        }
        for (owner, mode) in [(POSTGRES, 0o640), (POSTGRES, 0o604), (0, 0o644), (0, 0o660)] {
            let fault = access_fault(owner, mode, POSTGRES);
            assert!(matches!(fault, Some(FileFault::Access)), "{owner} {mode:o}");
        }
        let fault = access_fault(1000, 0o600, POSTGRES);
        assert!(matches!(fault, Some(FileFault::Owner)));
    }

    #[test]
    fn the_error_of_the_operating_system_is_shown_without_its_number() {
        let path = Path::new("/nowhere/at all");
        let role = FileRole::Token;
        let error = NamedFile { role, path }.read().unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not open NATS token file \"/nowhere/at all\": No such file or directory"
        );
    }
}
