//! Whom the worker acts as. Rows are written as the owner of their destination in a
//! security-restricted context, as logical replication does: a trigger or default there never runs
//! as superuser, and what it sets ends with the statement.

use super::search_path::SearchPath;
use pgrx::prelude::*;

/// Acting as another role until ended. After an error the abort of the transaction ends it.
#[must_use = "it has to be ended"]
pub struct AsOwner {
    user: pg_sys::Oid,
    context: i32,
    /// Nest level of settings.
    level: i32,
}

impl AsOwner {
    /// From here on acts as `owner` under `path`. Inside a transaction.
    pub fn of(owner: pg_sys::Oid, path: &SearchPath) -> Self {
        // SAFETY: main thread, inside a transaction; `end` or the abort closes the level.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        path.apply();
        let mut before = Self {
            user: pg_sys::Oid::INVALID,
            context: 0,
            level,
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

    /// Acts as before again, with the settings as they were: the owner's code may have changed any.
    pub fn end(self) {
        // SAFETY: main thread; the level is the innermost one, and the values were in force when
        // this was made.
        unsafe {
            pg_sys::AtEOXact_GUC(false, self.level);
            pg_sys::SetUserIdAndSecContext(self.user, self.context);
        }
    }
}
