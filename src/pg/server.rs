//! What kind of server this is, and how far its start is.

use pgrx::prelude::*;
use std::ffi::CStr;

/// Returns whether `shared_preload_libraries` are being loaded.
#[must_use]
pub fn is_preloading() -> bool {
    // SAFETY: a flag of the process, set and read on its main thread.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Returns whether workers may run: not in single-user mode, which has none, nor during
/// `pg_upgrade`, which makes a copy that nobody may write to meanwhile.
#[must_use]
pub fn takes_workers() -> bool {
    // SAFETY: set before libraries are loaded, and only read here.
    unsafe { pg_sys::IsPostmasterEnvironment && !pg_sys::IsBinaryUpgrade }
}

/// Returns whether this is a standby.
#[must_use]
pub fn is_standby() -> bool {
    // SAFETY: main thread; reads shared memory.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Returns the OID of an extension of this database; a new one with each `CREATE EXTENSION`. Inside
/// a transaction.
#[must_use]
pub fn extension(name: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: main thread, inside a transaction; the name ends with its NUL.
    let oid = unsafe { pg_sys::get_extension_oid(name.as_ptr(), true) };
    (oid != pg_sys::Oid::INVALID).then_some(oid)
}
