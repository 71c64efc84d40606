//! Writes rows to one destination by `COPY … FROM STDIN` in binary format, the fastest way that
//! PostgreSQL has. In a background worker, STDIN is the process's standard input; here that is a
//! file in memory that is refilled for each batch. The statement goes through `ProcessUtility`,
//! where TimescaleDB's hook routes rows to chunks. COPY has no ON CONFLICT: a row with a duplicate
//! key fails the batch, and the caller then inserts it.

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

/// Bytes of buffer that are kept for the next batch. A larger buffer, which only a rare large batch
/// needs, is released.
const KEPT: usize = 16 << 20;

/// This process's standard input, as a file in memory.
pub struct Stdin {
    file: File,
    buffer: Vec<u8>,
}

impl Stdin {
    /// Replaces standard input by a file in memory. Call it once in each worker.
    ///
    /// # Errors
    /// Those of the operating system.
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

    /// Replaces the content of standard input with these rows, and rewinds it.
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

    /// Releases the memory of a large batch, after COPY has read it.
    fn give_back(&mut self) {
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
            // The next batch sets the length anyway.
            let _ = self.file.set_len(0);
        }
    }
}

/// Copies rows into the target and returns the number that were inserted. Inside a transaction
/// only.
///
/// # Errors
/// Errors of PostgreSQL are raised; those of the operating system, and of [`UserContext::restore`],
/// are returned.
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

/// Runs the COPY statement and returns the number of rows that it has inserted.
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
        // TimescaleDB's hook would crash without a completion to write to.
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
