//! Writes rows to one destination by an ordinary `INSERT … SELECT` from a tuplestore, which is
//! registered as an ephemeral named relation. So planner hooks (TimescaleDB's chunk routing),
//! casts, defaults and ON CONFLICT all apply. Runs as the owner of the destination.

use super::statement::{self, BATCH};
use super::target::{CopyTarget, Target};
use super::tuple::{Tuple, shape};
use crate::pg::failure::Failure;
use crate::pg::sql_state::SqlState;
use crate::pg::user_context::UserContext;
use pgrx::prelude::*;
use row::{Merged, Row, RowSlices, Table};
use std::collections::HashMap;
use std::sync::Arc;

/// Kilobytes of rows that a tuplestore holds in memory before PostgreSQL spills it to a file.
const TUPLESTORE_KB: i32 = 256 << 10;
/// The largest number of plans that are kept. More than one is needed only for rows in which
/// different columns are absent.
const PLANS_MAX: usize = 64;

/// The prepared INSERT into one destination.
pub struct Insert {
    table: Arc<Table>,
    /// The destination.
    pub target: Target,
    /// The plans of the statements, by the indexes of the columns that they leave out.
    plans: HashMap<Vec<usize>, KeptPlan>,
    /// The row type of the batch, see [`shape`].
    shape: pg_sys::TupleDesc,
}

/// A plan kept by SPI, which is freed when this is dropped.
struct KeptPlan(pg_sys::SPIPlanPtr);

impl Drop for KeptPlan {
    fn drop(&mut self) {
        // SAFETY: the plan was kept by SPI_keepplan and is freed once.
        unsafe { pg_sys::SPI_freeplan(self.0) };
    }
}

impl Insert {
    /// Creates an INSERT of rows of `table` into `target`.
    pub fn new(table: Arc<Table>, target: Target) -> Self {
        Self {
            shape: shape(&table),
            table,
            target,
            plans: HashMap::new(),
        }
    }

    /// Inserts rows and returns the number that were inserted or updated. Call it inside a
    /// transaction and an SPI connection.
    ///
    /// Rows with different absent columns take several statements. They stay in order, because of
    /// two rows with the same key the first is kept, or the last one determines the updated
    /// columns.
    ///
    /// # Errors
    /// Errors of PostgreSQL are raised. Returned are error codes of SPI, the error of
    /// [`UserContext::restore`], and a name that contains a NUL byte.
    pub fn write(&mut self, rows: &RowSlices<'_>) -> Result<u64, Failure> {
        if !rows.has_absent() {
            return self.write_group(&[], rows.iter());
        }
        let mut written = 0;
        for group in rows.consecutive_groups(&self.target.defaulted()) {
            written += self.write_group(&group.absent, group.rows.into_iter())?;
        }
        Ok(written)
    }

    /// Inserts rows without a value for the columns `absent`.
    fn write_group<'a>(
        &mut self,
        absent: &[usize],
        rows: impl Iterator<Item = Row<'a>>,
    ) -> Result<u64, Failure> {
        let store = self.fill(rows);
        let as_owner = UserContext::switch_to(self.target.owner, &self.target.path);
        let mut name = BATCH.to_bytes_with_nul().to_vec();
        // SAFETY: plain data, for which zero is valid; the fields that need another value are set
        // below.
        let mut relation: pg_sys::EphemeralNamedRelationData = unsafe { std::mem::zeroed() };
        relation.md.name = name.as_mut_ptr().cast();
        relation.md.tupdesc = self.shape;
        relation.md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
        relation.reldata = store.cast();
        // SAFETY: everything registered outlives its use: it is unregistered below, and after an
        // error the SPI connection in which it is registered ends before anything else runs.
        let written = unsafe {
            relation.md.enrtuples = pg_sys::tuplestore_tuple_count(store) as f64;
            check(
                pg_sys::SPI_register_relation(&raw mut relation),
                "SPI_register_relation",
            )?;
            let plan = self.plan(absent)?;
            let result =
                pg_sys::SPI_execute_plan(plan, std::ptr::null_mut(), std::ptr::null(), false, 0);
            check(result, "SPI_execute_plan")?;
            let written = pg_sys::SPI_processed;
            check(
                pg_sys::SPI_unregister_relation(BATCH.as_ptr().cast_mut()),
                "SPI_unregister_relation",
            )?;
            pg_sys::tuplestore_end(store);
            written
        };
        as_owner.restore()?;
        Ok(written)
    }

    /// Returns how to copy rows without a value for the columns `absent`; `None` where COPY would
    /// not give the same rows.
    ///
    /// # Errors
    /// When a name contains a NUL byte.
    pub fn copy_without(&self, absent: &[usize]) -> Result<Option<CopyTarget>, Failure> {
        let target = &self.target;
        let Some(CopyTarget { sort, .. }) = target.copy else {
            return Ok(None);
        };
        let written = target.written_columns_without(absent);
        let copy = statement::copy_target(&self.table, &target.name, &written, sort)?;
        Ok(copy.map(|copy| CopyTarget {
            format: copy.format.with_absent_as_null(),
            ..copy
        }))
    }

    /// Returns the plan of the INSERT without the columns `absent`, and prepares it if there is
    /// none yet.
    fn plan(&mut self, absent: &[usize]) -> Result<pg_sys::SPIPlanPtr, Failure> {
        if let Some(plan) = self.plans.get(absent) {
            return Ok(plan.0);
        }
        let target = &self.target;
        let written = target.written_columns_without(absent);
        let insert = statement::insert(&target.name, &written, &target.on_conflict)?;
        // SAFETY: inside an SPI connection in which the batch is registered; the text is
        // NUL-terminated.
        let plan = unsafe {
            let plan = pg_sys::SPI_prepare(insert.as_ptr(), 0, std::ptr::null_mut());
            if plan.is_null() {
                return Err(Failure::new(SqlState::INTERNAL_ERROR, "SPI_prepare failed"));
            }
            check(pg_sys::SPI_keepplan(plan), "SPI_keepplan")?;
            plan
        };
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        self.plans.insert(absent.to_vec(), KeptPlan(plan));
        Ok(plan)
    }

    /// Creates a tuplestore with these rows, in the current memory context.
    fn fill<'a>(&self, rows: impl Iterator<Item = Row<'a>>) -> *mut pg_sys::Tuplestorestate {
        // SAFETY: main thread, inside a transaction.
        let store = unsafe { pg_sys::tuplestore_begin_heap(false, false, TUPLESTORE_KB) };
        let mut tuple = Tuple::new(self.shape, self.table.columns.len());
        if self.target.updates() {
            for merged in row::merge(&self.table, rows) {
                tuple.put(store, merged, &self.table);
            }
        } else {
            for row in rows {
                tuple.put(store, Merged::alone(row), &self.table);
            }
        }
        store
    }
}

impl Drop for Insert {
    fn drop(&mut self) {
        // SAFETY: made by `shape`, referenced by nothing outside a running `write`.
        unsafe { pg_sys::FreeTupleDesc(self.shape) };
    }
}

/// Turns an error code of SPI into a [`Failure`].
fn check(code: i32, what: &str) -> Result<(), Failure> {
    match code >= 0 {
        true => Ok(()),
        false => Err(Failure::new(
            SqlState::INTERNAL_ERROR,
            format!("{what} failed with code {code}"),
        )),
    }
}
