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
        fire_deferred_triggers_at_once();
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

/// What a table puts off to the end of the transaction would run there as superuser, and PostgreSQL
/// refuses that for a restricted context. So it runs after its statement, as the owner.
fn fire_deferred_triggers_at_once() {
    // SAFETY: main thread, inside a transaction; the node lives in its memory context.
    unsafe {
        let mut all =
            PgBox::<pg_sys::ConstraintsSetStmt>::alloc_node(pg_sys::NodeTag::T_ConstraintsSetStmt);
        all.deferred = false;
        pg_sys::AfterTriggerSetState(all.into_pg());
    }
}
