//! Writes rows to one destination by an ordinary `INSERT … SELECT` from a tuplestore, which is
//! registered as an ephemeral named relation. So planner hooks (TimescaleDB's chunk routing),
//! casts, defaults and ON CONFLICT all apply. Runs as the owner of the destination.

use super::statement;
use super::statement::{BATCH, batch_column};
use super::target::{CopyTarget, Target};
use crate::pg::failure::Failure;
use crate::pg::sql_state::SqlState;
use crate::pg::user_context::UserContext;
use pgrx::prelude::*;
use row::{Cell, Kind, Merged, Row, RowSlices, Table};
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::Arc;

/// Kilobytes of rows that a tuplestore holds in memory before PostgreSQL spills it to a file.
const TUPLESTORE_KB: i32 = 256 << 10;
/// The largest number of plans that are kept. More than one is needed only for rows in which
/// different columns are absent.
const PLANS_MAX: usize = 64;
/// Bytes to reserve for a varlena's header and alignment.
const VARLENA_EXTRA: usize = 8;

/// The prepared INSERT into one destination.
pub struct Insert {
    table: Arc<Table>,
    /// The destination.
    pub target: Target,
    /// The plans of the statements, by the indexes of the columns that they leave out.
    plans: HashMap<Vec<usize>, Plan>,
    /// The row type of the batch, see [`shape`].
    shape: pg_sys::TupleDesc,
}

/// A plan kept by SPI, which is freed when this is dropped.
struct Plan(pg_sys::SPIPlanPtr);

impl Drop for Plan {
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
        for stretch in rows.stretches(&self.target.defaulted()) {
            written += self.write_group(&stretch.absent, stretch.rows.into_iter())?;
        }
        Ok(written)
    }

    /// Inserts rows in all of which the columns `absent` are absent.
    fn write_group<'a>(
        &mut self,
        absent: &[usize],
        rows: impl Iterator<Item = Row<'a>>,
    ) -> Result<u64, Failure> {
        let store = self.fill(rows);
        let as_owner = UserContext::switch_to(self.target.owner, &self.target.path);
        let mut name = BATCH.to_bytes_with_nul().to_vec();
        // SAFETY: plain data, all of it set below or rightly zero.
        let mut relation: pg_sys::EphemeralNamedRelationData = unsafe { std::mem::zeroed() };
        relation.md.name = name.as_mut_ptr().cast();
        relation.md.tupdesc = self.shape;
        relation.md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
        relation.reldata = store.cast();
        // SAFETY: everything registered outlives its use: it is unregistered below, and on an error
        // the SPI connection that knows it is gone before anything else runs.
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

    /// Returns how to copy rows in all of which the columns `absent` are absent; `None` where COPY
    /// would not give the same rows.
    ///
    /// # Errors
    /// When a name contains a NUL byte.
    pub fn copy_without(&self, absent: &[usize]) -> Result<Option<CopyTarget>, Failure> {
        let target = &self.target;
        let Some(CopyTarget { sort, .. }) = target.copy else {
            return Ok(None);
        };
        let matched = target.matched_without(absent);
        let copy = statement::copy_target(&self.table, &target.name, &matched, sort)?;
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
        let matched = target.matched_without(absent);
        let insert = statement::insert(&target.name, &matched, &target.on_conflict)?;
        // SAFETY: inside an SPI connection that knows the batch; the text is NUL-terminated.
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
        self.plans.insert(absent.to_vec(), Plan(plan));
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

/// Creates the row type of a batch: its columns with their natural types. The memory lives until it
/// is freed.
fn shape(table: &Table) -> pg_sys::TupleDesc {
    // SAFETY: main thread. The descriptor is built in a context that is never reset, since plans
    // refer to it across transactions; Insert frees it.
    unsafe {
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        let count = i32::try_from(table.columns.len()).unwrap_or(i32::MAX);
        let shape = pg_sys::CreateTemplateTupleDesc(count);
        for (number, column) in table.columns.iter().enumerate() {
            let name = CString::new(batch_column(number)).unwrap_or_default();
            let attribute = i16::try_from(number + 1).unwrap_or(i16::MAX);
            pg_sys::TupleDescInitEntry(
                shape,
                attribute,
                name.as_ptr(),
                natural_type(column.kind),
                -1,
                0,
            );
        }
        pg_sys::MemoryContextSwitchTo(before);
        shape
    }
}

/// Returns the PostgreSQL type of cells of this kind.
fn natural_type(kind: Kind) -> pg_sys::Oid {
    match kind {
        Kind::Text | Kind::Json => pg_sys::TEXTOID,
        Kind::Timestamp => pg_sys::TIMESTAMPTZOID,
        Kind::Int4 => pg_sys::INT4OID,
        Kind::Int8 => pg_sys::INT8OID,
        Kind::Float8 => pg_sys::FLOAT8OID,
        Kind::Bool => pg_sys::BOOLOID,
    }
}

/// One row to put into a tuplestore, in buffers that are reused for all rows of a batch.
struct Tuple<'a> {
    shape: pg_sys::TupleDesc,
    cells: Vec<Cell<'a>>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    /// The row's texts as varlenas, 8-byte aligned.
    text: Vec<u64>,
}

impl<'a> Tuple<'a> {
    fn new(shape: pg_sys::TupleDesc, columns: usize) -> Self {
        Self {
            shape,
            cells: Vec::with_capacity(columns),
            values: Vec::with_capacity(columns),
            nulls: Vec::with_capacity(columns),
            text: Vec::new(),
        }
    }

    /// Appends a row to the tuplestore.
    fn put(&mut self, store: *mut pg_sys::Tuplestorestate, row: Merged<'a>, table: &Table) {
        row.cells(table, &mut self.cells);
        self.values.clear();
        self.nulls.clear();
        self.make_room();
        let mut free = self.text.as_mut_ptr();
        for cell in &self.cells {
            self.nulls.push(matches!(cell, Cell::Null | Cell::Absent));
            self.values.push(match *cell {
                // An absent cell's column is not in the statement, or has no default.
                Cell::Null | Cell::Absent => pg_sys::Datum::null(),
                Cell::Text(text) | Cell::Json(text) => {
                    // SAFETY: make_room reserved the space for all texts of this row.
                    unsafe { varlena(&mut free, text) }
                }
                Cell::Timestamp(time) => time.postgres_micros().into(),
                Cell::Int4(value) => value.into(),
                Cell::Int8(value) => value.into(),
                Cell::Float8(value) => pg_sys::Datum::from(value.to_bits()),
                Cell::Bool(value) => value.into(),
            });
        }
        // SAFETY: as many values and nulls as the shape has columns; what they point to lives until
        // the call returns, and the tuplestore copies.
        unsafe {
            pg_sys::tuplestore_putvalues(
                store,
                self.shape,
                self.values.as_ptr(),
                self.nulls.as_ptr(),
            );
        }
    }

    /// Enlarges the text buffer before anything points into it.
    fn make_room(&mut self) {
        let text_bytes = |cell: &Cell<'_>| match cell {
            Cell::Text(text) | Cell::Json(text) => text.len() + VARLENA_EXTRA,
            _ => 0,
        };
        let words = self.cells.iter().map(text_bytes).sum::<usize>() / size_of::<u64>() + 1;
        // Rounding up each text can take one word more than the sum.
        self.text.reserve(words + self.cells.len());
    }
}

/// Writes a 4-byte-header varlena at `free` and moves `free` behind it.
///
/// # Safety
/// There are `text.len() + VARLENA_EXTRA` writable bytes at `free`, rounded up to a word.
unsafe fn varlena(free: &mut *mut u64, text: &str) -> pg_sys::Datum {
    let start = *free;
    let size = text.len() + size_of::<u32>();
    // SAFETY: guaranteed by the caller.
    unsafe {
        pgrx::set_varsize_4b(start.cast(), i32::try_from(size).unwrap_or(i32::MAX));
        let data = start.cast::<u8>().add(size_of::<u32>());
        data.copy_from_nonoverlapping(text.as_ptr(), text.len());
        *free = start.add(size.div_ceil(size_of::<u64>()));
    }
    pg_sys::Datum::from(start.cast::<u8>())
}
