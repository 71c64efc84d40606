//! SQLSTATEs as values. Their names are those of PostgreSQL's `errcodes.txt`.

use pgrx::prelude::*;
use std::fmt;

/// A SQLSTATE: five characters, as PostgreSQL shows them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SqlState([u8; 5]);

/// Defines a constant for each SQLSTATE that this project raises or recognises.
macro_rules! names {
    ($($name:ident = $code:literal),* $(,)?) => {
        #[allow(missing_docs, reason = "the names are PostgreSQL's")]
        impl SqlState {
            $(pub const $name: Self = Self(*$code);)*
        }
    };
}

names! {
    DATA_EXCEPTION = b"22000",
    NUMERIC_VALUE_OUT_OF_RANGE = b"22003",
    DATETIME_FIELD_OVERFLOW = b"22008",
    CHARACTER_NOT_IN_REPERTOIRE = b"22021",
    UNIQUE_VIOLATION = b"23505",
    EXCLUSION_VIOLATION = b"23P01",
    SERIALIZATION_FAILURE = b"40001",
    DEADLOCK_DETECTED = b"40P01",
    INSUFFICIENT_PRIVILEGE = b"42501",
    UNDEFINED_COLUMN = b"42703",
    UNDEFINED_TABLE = b"42P01",
    INVALID_COLUMN_REFERENCE = b"42P10",
    OUT_OF_MEMORY = b"53200",
    CONFIGURATION_LIMIT_EXCEEDED = b"53400",
    OBJECT_NOT_IN_PREREQUISITE_STATE = b"55000",
    LOCK_NOT_AVAILABLE = b"55P03",
    QUERY_CANCELED = b"57014",
    IO_ERROR = b"58030",
    INTERNAL_ERROR = b"XX000",
}

impl SqlState {
    /// Creates one from any five characters.
    #[cfg(test)]
    pub const fn new(characters: &[u8; 5]) -> Self {
        Self(*characters)
    }

    /// Returns the five characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the first two characters.
    pub fn class(&self) -> &str {
        self.as_str().get(..2).unwrap_or_default()
    }
}

/// PostgreSQL packs each of the five characters into six bits.
impl From<PgSqlErrorCode> for SqlState {
    fn from(code: PgSqlErrorCode) -> Self {
        let packed = code as i32;
        Self([0, 1, 2, 3, 4].map(|n| b'0' + u8::try_from((packed >> (6 * n)) & 0x3f).unwrap_or(0)))
    }
}

/// A SQLSTATE that pgrx has no name for becomes an internal error.
impl From<SqlState> for PgSqlErrorCode {
    fn from(state: SqlState) -> Self {
        let bits = |character: u8| i32::from(character.wrapping_sub(b'0') & 0x3f);
        let packed = state.0.iter().rev();
        Self::from(packed.fold(0, |packed, character| packed << 6 | bits(*character)))
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_shown_as_postgresql_shows_them_and_are_the_same_on_the_way_back() {
        for (code, expected) in [
            (PgSqlErrorCode::ERRCODE_CHECK_VIOLATION, "23514"),
            (PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, "42P01"),
            (PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "XX000"),
        ] {
            let state = SqlState::from(code);
            assert_eq!(state.as_str(), expected);
            assert_eq!(PgSqlErrorCode::from(state) as i32, code as i32);
        }
    }
}
