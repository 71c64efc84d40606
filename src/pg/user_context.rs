//! The role that the worker acts as. Rows are written as the owner of their destination in a
//! security-restricted context, as in logical replication: a trigger or default there never runs as
//! superuser, and settings that it changes are restored after the statement.

use super::failure::Failure;
use super::search_path::SearchPath;
use super::sql_state::SqlState;
use pgrx::prelude::*;

/// Acts as another role until restored. After an error, the abort of the transaction restores the
/// role.
#[must_use = "call restore"]
pub struct UserContext {
    user: pg_sys::Oid,
    context: i32,
    /// Nest level of settings.
    level: i32,
    /// [`TEMPORARY`] if the transaction used temporary objects before, else 0.
    temporary: i32,
}

/// Flag of a transaction that has used temporary objects, or tried to create one.
const TEMPORARY: i32 = pg_sys::XACT_FLAGS_ACCESSEDTEMPNAMESPACE as i32;

impl UserContext {
    /// Acts as `owner` under `path` from here on. Inside a transaction only.
    pub fn switch_to(owner: pg_sys::Oid, path: &SearchPath) -> Self {
        // SAFETY: main thread, inside a transaction; `restore` or the abort closes the level.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        path.apply();
        let mut before = Self {
            user: pg_sys::Oid::INVALID,
            context: 0,
            level,
            temporary: take_temporary(),
        };
        // SAFETY: main thread; the abort of the transaction restores both values after an error.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&raw mut before.user, &raw mut before.context);
            let restricted =
                pg_sys::SECURITY_RESTRICTED_OPERATION | pg_sys::SECURITY_LOCAL_USERID_CHANGE;
            pg_sys::SetUserIdAndSecContext(owner, before.context | restricted as i32);
        }
        before
    }

    /// Restores the role, and all settings, since the owner's code may have changed any.
    ///
    /// # Errors
    /// When that code has created a temporary object. It would last as long as the session, and a
    /// temporary type is found before all others by the code of other owners. PostgreSQL itself
    /// refuses only temporary tables.
    pub fn restore(self) -> Result<(), Failure> {
        // SAFETY: main thread; the level is the innermost one, and the values were in force when
        // this was made.
        unsafe {
            pg_sys::AtEOXact_GUC(false, self.level);
            pg_sys::SetUserIdAndSecContext(self.user, self.context);
        }
        if take_temporary() != 0 && has_temporary_schema() {
            let message = "code of the destination's owner used temporary objects";
            return Err(Failure::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        // SAFETY: main thread, inside a transaction, whose flags these are.
        unsafe { pg_sys::MyXactFlags |= self.temporary };
        Ok(())
    }
}

/// Returns whether the session has a temporary schema. A worker's has one only if an owner's code
/// has created it.
fn has_temporary_schema() -> bool {
    let (mut schema, mut toast) = (pg_sys::Oid::INVALID, pg_sys::Oid::INVALID);
    // SAFETY: main thread; both are written to.
    unsafe { pg_sys::GetTempNamespaceState(&raw mut schema, &raw mut toast) };
    schema != pg_sys::Oid::INVALID
}

/// Clears the transaction's flag, and returns what it was.
fn take_temporary() -> i32 {
    // SAFETY: main thread, inside a transaction, whose flags these are.
    unsafe {
        let flags = pg_sys::MyXactFlags;
        pg_sys::MyXactFlags = flags & !TEMPORARY;
        flags & TEMPORARY
    }
}
