//! Whom the worker acts as. Rows are written as the owner of their destination in a
//! security-restricted context, as logical replication does: a trigger or default there never runs
//! as superuser.

use pgrx::prelude::*;

/// Acting as another role until ended. After an error the abort of the transaction ends it.
#[must_use = "it has to be ended"]
pub struct AsOwner {
    user: pg_sys::Oid,
    context: i32,
}

impl AsOwner {
    /// From here on acts as `owner`. Inside a transaction.
    pub fn of(owner: pg_sys::Oid) -> Self {
        let mut before = Self {
            user: pg_sys::Oid::INVALID,
            context: 0,
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

    /// Acts as before again.
    pub fn end(self) {
        // SAFETY: main thread; the values were in force when this was made.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
    }
}
