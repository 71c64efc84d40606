//! Tuples for a tuplestore: the row type of a batch, and the conversion of rows to values of that
//! type.

use super::statement::batch_column;
use pgrx::prelude::*;
use row::{Cell, Kind, Merged, Table};
use std::ffi::CString;

/// Bytes to reserve for a varlena's header and alignment.
const VARLENA_EXTRA: usize = 8;

/// Creates the row type of a batch: its columns with their natural types. The memory lives until it
/// is freed.
pub fn shape(table: &Table) -> pg_sys::TupleDesc {
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
pub struct Tuple<'a> {
    shape: pg_sys::TupleDesc,
    cells: Vec<Cell<'a>>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    /// The row's texts as varlenas, 8-byte aligned.
    text: Vec<u64>,
}

impl<'a> Tuple<'a> {
    /// Creates the buffers for rows of this type.
    pub fn new(shape: pg_sys::TupleDesc, columns: usize) -> Self {
        Self {
            shape,
            cells: Vec::with_capacity(columns),
            values: Vec::with_capacity(columns),
            nulls: Vec::with_capacity(columns),
            text: Vec::new(),
        }
    }

    /// Appends a row to the tuplestore.
    pub fn put(&mut self, store: *mut pg_sys::Tuplestorestate, row: Merged<'a>, table: &Table) {
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

/// Writes a varlena with a 4-byte header at `free`, and moves `free` behind it.
///
/// # Safety
/// At `free` there are `text.len() + VARLENA_EXTRA` writable bytes, rounded up to a word.
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
