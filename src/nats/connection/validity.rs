//! The time in which a JWT or a certificate is valid. It is judged only when a server has turned
//! them away: the server's clock counts, and this machine's may be wrong.

use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The first and last second of validity, in seconds since 1970; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Validity {
    not_before: Option<i64>,
    not_after: Option<i64>,
}

/// How a time of validity relates to the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lapse {
    /// It ended at this time, in seconds since 1970.
    Expired(i64),
    /// It begins at this time, in seconds since 1970.
    NotYetValid(i64),
}

impl Validity {
    /// Returns the validity of a JWT with these claims.
    pub(super) fn of_jwt(claims: &Value) -> Self {
        // 0 means no limit.
        let seconds = |name| {
            claims
                .get(name)
                .and_then(Value::as_i64)
                .filter(|&at| at != 0)
        };
        Self {
            not_before: seconds("nbf"),
            not_after: seconds("exp"),
        }
    }

    /// Returns why it is not valid now, if it is not.
    pub(super) fn lapse(self) -> Option<Lapse> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        self.lapse_at(i64::try_from(now.as_secs()).ok()?)
    }

    fn lapse_at(self, now: i64) -> Option<Lapse> {
        match (self.not_before, self.not_after) {
            (_, Some(end)) if end < now => Some(Lapse::Expired(end)),
            (Some(begin), _) if begin > now => Some(Lapse::NotYetValid(begin)),
            _ => None,
        }
    }
}

impl Lapse {
    /// Returns a sentence that begins with what is not valid: `The user's JWT expired at ...`.
    pub(super) fn sentence(self, subject: &str) -> String {
        match self {
            Self::Expired(at) => format!("{subject} expired at {}.", text(at)),
            Self::NotYetValid(at) => format!("{subject} is not valid before {}.", text(at)),
        }
    }
}

/// Returns a time as text.
fn text(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = at.and_then(|at| at.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{seconds} seconds after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_jwt_is_valid_between_its_times_and_without_times_for_ever() {
        let at = |claims: Value| Validity::of_jwt(&claims).lapse_at(1_000);
        assert_eq!(at(json!({})), None);
        assert_eq!(at(json!({ "nbf": 0, "exp": 0 })), None);
        assert_eq!(at(json!({ "nbf": 1_000, "exp": 1_000 })), None);
        assert_eq!(at(json!({ "exp": 999 })), Some(Lapse::Expired(999)));
        let early = Some(Lapse::NotYetValid(1_001));
        assert_eq!(at(json!({ "nbf": 1_001, "exp": 2_000 })), early);
    }

    #[test]
    fn the_time_is_part_of_the_sentence() {
        assert_eq!(
            Lapse::Expired(1_767_323_045).sentence("The user's JWT"),
            "The user's JWT expired at 2026-01-02T03:04:05Z."
        );
    }
}
