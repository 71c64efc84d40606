//! Notices that a destination was changed by DDL, through PostgreSQL's own cache invalidation, so
//! that a column list or a plan is not used after that.

use pgrx::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Destinations that are watched at a time: more than pipelines can have.
const SLOTS: usize = 128;

static WATCHED: [AtomicU32; SLOTS] = [const { AtomicU32::new(0) }; SLOTS];
static CHANGED: AtomicBool = AtomicBool::new(false);
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Starts to listen. To be called once in the worker.
pub fn register() {
    // SAFETY: main thread; the callback lives as long as the process.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(changed), pg_sys::Datum::null()) };
}

/// From now on a change to this relation counts.
pub fn watch(relation: pg_sys::Oid) {
    let oid = relation.to_u32();
    for slot in &WATCHED {
        let known = slot.load(Ordering::Relaxed);
        if known == oid {
            return;
        }
        if known == 0 {
            slot.store(oid, Ordering::Relaxed);
            return;
        }
    }
    // Most of them are gone: whoever still needs one looks it up again, and watches it.
    WATCHED
        .iter()
        .for_each(|slot| slot.store(0, Ordering::Relaxed));
    CHANGED.store(true, Ordering::Relaxed);
    CHANGES.fetch_add(1, Ordering::Relaxed);
}

/// Whether a watched relation has changed since the last call.
pub fn any_changed() -> bool {
    CHANGED.swap(false, Ordering::Relaxed)
}

/// A number that grows with every change to a watched relation that this process has heard of.
pub fn changes() -> u64 {
    CHANGES.load(Ordering::Relaxed)
}

/// Waits until nobody changes the relation, and keeps it so until the end of the transaction. What
/// was changed before has been heard of then.
pub fn lock(relation: pg_sys::Oid) {
    // SAFETY: main thread, inside a transaction. A relation that is gone may be locked all the
    // same.
    unsafe { pg_sys::LockRelationOid(relation, pg_sys::RowExclusiveLock as i32) };
}

/// Only notes the change: a callback may not read catalogs, nor fail.
unsafe extern "C-unwind" fn changed(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    let oid = relation.to_u32();
    if oid == 0
        || WATCHED
            .iter()
            .any(|slot| slot.load(Ordering::Relaxed) == oid)
    {
        CHANGED.store(true, Ordering::Relaxed);
        CHANGES.fetch_add(1, Ordering::Relaxed);
    }
}
