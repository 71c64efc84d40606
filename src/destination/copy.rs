//! Rows into one destination by `COPY … FROM STDIN` in binary format, the fastest way PostgreSQL
//! has. In a background worker STDIN is the process's standard input; here that is a file in
//! memory, filled anew for each batch. The statement goes through `ProcessUtility`, where
//! TimescaleDB's hook routes rows to chunks. There is no ON CONFLICT: a row whose key is taken
//! fails the batch, and the caller then takes the other way.

use super::target::{CopyTarget, Target};
use crate::pg::failure::Failure;
use crate::pg::sql_state::SqlState;
use crate::pg::user_context::UserContext;
use pgrx::prelude::*;
use row::Row;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

unsafe extern "C" {
    /// The C library's standard input, which COPY reads.
    static stdin: *mut libc::FILE;
}

/// Memory in bytes that is kept from one batch to the next. What a rare large one took is given
/// back.
const KEPT: usize = 16 << 20;

/// Standard input of this process as a file in memory.
pub struct Stdin {
    file: File,
    buffer: Vec<u8>,
}

impl Stdin {
    /// Replaces standard input. To be called once in a worker.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn replace() -> std::io::Result<Self> {
        // SAFETY: the descriptor made here is owned by the File alone; descriptor 0 becomes a
        // second one of the same file. Standard input is made unbuffered before its first use, or a
        // buffer could outlive the batch it was read from.
        unsafe {
            let fd = libc::memfd_create(c"sr_event_writer_batch".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 || libc::dup2(fd, libc::STDIN_FILENO) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            libc::setvbuf(stdin, std::ptr::null_mut(), libc::_IONBF, 0);
            Ok(Self {
                file: File::from_raw_fd(fd),
                buffer: Vec::new(),
            })
        }
    }

    /// Makes the rows the whole of standard input.
    fn fill<'a>(
        &mut self,
        target: &CopyTarget,
        rows: impl Iterator<Item = Row<'a>>,
    ) -> std::io::Result<()> {
        match target.sort {
            None => target.format.encode(rows, &mut self.buffer),
            Some(key) => {
                let mut rows = rows.collect();
                key.sort(&mut rows);
                target.format.encode(rows.into_iter(), &mut self.buffer)
            }
        }
        self.file.set_len(self.buffer.len() as u64)?;
        self.file.write_all_at(&self.buffer, 0)?;
        // SAFETY: standard input is open for the life of the process and used by this thread only.
        unsafe { libc::rewind(stdin) };
        Ok(())
    }

    /// After a batch was read.
    fn give_back(&mut self) {
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
            // The next batch sets the length anyway.
            let _ = self.file.set_len(0);
        }
    }
}

/// Copies rows into the target and gives the number that were inserted. Inside a transaction.
///
/// # Errors
/// Raises PostgreSQL errors; returns what the operating system refuses.
pub fn write<'a>(
    input: &mut Stdin,
    target: &Target,
    copy: &CopyTarget,
    rows: impl Iterator<Item = Row<'a>>,
) -> Result<u64, Failure> {
    let filled = input.fill(copy, rows);
    filled
        .map_err(|error| Failure::new(SqlState::IO_ERROR, format!("batch in memory: {error}")))?;
    let as_owner = UserContext::switch_to(target.owner, &target.path);
    let copied = run(&copy.statement)?;
    as_owner.restore()?;
    input.give_back();
    Ok(copied)
}

fn run(statement: &std::ffi::CStr) -> Result<u64, Failure> {
    // SAFETY: main thread, inside a transaction; all that is made here lives in its memory context.
    unsafe {
        let parsed = pg_sys::pg_parse_query(statement.as_ptr());
        // One statement was given, so the list has one element.
        let raw: *mut pg_sys::RawStmt = (*(*parsed).elements).ptr_value.cast();
        let mut planned = PgBox::<pg_sys::PlannedStmt>::alloc_node(pg_sys::NodeTag::T_PlannedStmt);
        planned.commandType = pg_sys::CmdType::CMD_UTILITY;
        planned.canSetTag = true;
        planned.utilityStmt = (*raw).stmt;
        // A missing completion would crash TimescaleDB's hook.
        let mut completion = pg_sys::QueryCompletion::default();
        pg_sys::ProcessUtility(
            planned.into_pg(),
            statement.as_ptr(),
            false,
            pg_sys::ProcessUtilityContext::PROCESS_UTILITY_QUERY,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            pg_sys::None_Receiver,
            &raw mut completion,
        );
        pg_sys::CommandCounterIncrement();
        Ok(completion.nprocessed)
    }
}
