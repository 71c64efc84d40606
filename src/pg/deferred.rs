//! Deferred constraints and triggers. At the end of a transaction they would run with the rights of
//! whoever is the current user then, and PostgreSQL refuses to defer any in a security-restricted
//! context. So those of a destination fire right after its statement, as the table's owner.

use super::failure::Failure;
use pgrx::prelude::*;

/// Makes all constraints immediate until the end of the transaction. Call it before the transaction
/// has deferred anything.
pub fn set_all_immediate() {
    set(false, std::ptr::null_mut());
}

/// What was changed in the transaction of a client session.
#[must_use = "call restore"]
pub enum SessionConstraints {
    /// Nothing: the caller has deferred triggers pending already, and firing them here would run
    /// them with the rights of the function. PostgreSQL then refuses a destination that has
    /// deferred ones.
    Untouched,
    /// All constraints are immediate.
    Immediate,
}

impl SessionConstraints {
    /// Makes all constraints immediate in a client's transaction, unless that would fire triggers
    /// that the client has deferred.
    ///
    /// # Errors
    /// Those of the database.
    pub fn set_all_immediate() -> Result<Self, Failure> {
        if anything_pending()? {
            return Ok(Self::Untouched);
        }
        set_all_immediate();
        Ok(Self::Immediate)
    }

    /// Defers what is declared `INITIALLY DEFERRED` again, for the caller's later statements.
    ///
    /// # Errors
    /// Those of the database.
    pub fn restore(self) -> Result<(), Failure> {
        match self {
            Self::Untouched => Ok(()),
            Self::Immediate => defer_as_declared(),
        }
    }
}

fn anything_pending() -> Result<bool, Failure> {
    let query = "SELECT DISTINCT tgrelid FROM pg_catalog.pg_trigger WHERE tgdeferrable";
    Spi::connect(|client| {
        for row in client.select(query, None, &[])? {
            let relation = row.get::<pg_sys::Oid>(1)?;
            // SAFETY: main thread, inside a transaction; only looks at the list of events.
            if relation.is_some_and(|oid| unsafe { pg_sys::AfterTriggerPendingOnRel(oid) }) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// Defers all `INITIALLY DEFERRED` constraints, by name. Names are not unique: PostgreSQL refuses
/// one that a constraint which is not deferrable has as well, so such names are left out.
fn defer_as_declared() -> Result<(), Failure> {
    let query = "SELECT n.nspname::pg_catalog.text, c.conname::pg_catalog.text
        FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
        GROUP BY n.nspname, c.conname HAVING pg_catalog.bool_and(c.condeferred)";
    Spi::connect(|client| {
        let mut names = std::ptr::null_mut();
        for row in client.select(query, None, &[])? {
            let (Some(schema), Some(name)) = (row.get::<String>(1)?, row.get::<String>(2)?) else {
                continue;
            };
            // SAFETY: main thread, inside a transaction; all of it lives in its memory context.
            names = unsafe {
                let copy = |text: &str| pg_sys::pnstrdup(text.as_ptr().cast(), text.len());
                let name = pg_sys::makeRangeVar(copy(&schema), copy(&name), -1);
                pg_sys::lappend(names, name.cast())
            };
        }
        // An empty list would mean all constraints.
        if !names.is_null() {
            set(true, names);
        }
        Ok(())
    })
}

fn set(deferred: bool, constraints: *mut pg_sys::List) {
    // SAFETY: main thread, inside a transaction; the node lives in its memory context.
    unsafe {
        let mut statement =
            PgBox::<pg_sys::ConstraintsSetStmt>::alloc_node(pg_sys::NodeTag::T_ConstraintsSetStmt);
        statement.deferred = deferred;
        statement.constraints = constraints;
        pg_sys::AfterTriggerSetState(statement.into_pg());
    }
}
