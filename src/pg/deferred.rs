//! Constraints and triggers that are put off to the end of the transaction. There they would run
//! with the rights of whoever is current then, and PostgreSQL refuses to put any off in a
//! restricted context. So those of a destination run after its statement, as the owner.

use super::failure::Failure;
use pgrx::prelude::*;

/// Puts nothing off from here on, to the end of a transaction that has put nothing off so far.
pub fn fire_at_once() {
    set(false, std::ptr::null_mut());
}

/// What of a session's transaction was changed.
#[must_use = "it has to be restored"]
pub enum OfSession {
    /// Nothing, since something of the caller's is put off already: to fire it here would run it
    /// with the rights of the function. A destination that needs it is refused by PostgreSQL.
    Untouched,
    /// Nothing is put off.
    AtOnce,
}

impl OfSession {
    /// [`fire_at_once`] in a transaction of somebody else, where that fires nothing of his.
    ///
    /// # Errors
    /// What the database says.
    pub fn fire_at_once() -> Result<Self, Failure> {
        if anything_pending()? {
            return Ok(Self::Untouched);
        }
        fire_at_once();
        Ok(Self::AtOnce)
    }

    /// Puts off again what is put off from the start, for what the caller does afterwards.
    ///
    /// # Errors
    /// What the database says.
    pub fn restore(self) -> Result<(), Failure> {
        match self {
            Self::Untouched => Ok(()),
            Self::AtOnce => defer_as_declared(),
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

/// Names are not unique: one that also stands for a constraint that is never put off would be
/// refused.
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
        // No name at all would stand for all of them.
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
