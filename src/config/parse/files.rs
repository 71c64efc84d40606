//! Paths of files that hold secrets or certificates.

use super::{ParseError, refuse};

/// Checks the path of a file; empty for none.
///
/// It must be absolute: then nobody wonders about the current folder of a server process, and a
/// secret that is set in place of a path is refused.
pub(in crate::config) fn file(text: &str) -> Result<(), ParseError> {
    if text.is_empty() || text.starts_with('/') && !text.contains(char::is_control) {
        return Ok(());
    }
    refuse("It must be the absolute path of a file.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::reason;

    #[test]
    fn a_path_is_absolute_and_a_secret_is_no_path() {
        assert!(file("").is_ok() && file("/projected/nats.creds").is_ok());
        for bad in ["nats.creds", "./a", "s3cret", "-----BEGIN", "/a\nb"] {
            let reason = reason(file(bad));
            assert!(
                reason.contains("absolute") && !reason.contains(bad),
                "{bad}"
            );
        }
    }
}
