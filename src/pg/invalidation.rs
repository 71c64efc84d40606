//! Detects DDL on watched relations through PostgreSQL's cache invalidation, so that no stale
//! column list or plan is used.

use pgrx::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Relations watched at a time; more than all pipelines together have destinations.
const SLOTS: usize = 128;

static WATCHED: [AtomicU32; SLOTS] = [const { AtomicU32::new(0) }; SLOTS];
static CHANGED: AtomicBool = AtomicBool::new(false);
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Registers the callback. Call it once in the worker.
pub fn register() {
    // SAFETY: main thread; the callback lives as long as the process.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(changed), pg_sys::Datum::null()) };
}

/// Watches a relation from now on.
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
    // All slots are taken, mostly by relations that no longer exist. Whoever needs one looks it up
    // and watches it again.
    WATCHED
        .iter()
        .for_each(|slot| slot.store(0, Ordering::Relaxed));
    CHANGED.store(true, Ordering::Relaxed);
    CHANGES.fetch_add(1, Ordering::Relaxed);
}

/// Returns whether a watched relation has changed since the last call.
pub fn any_changed() -> bool {
    CHANGED.swap(false, Ordering::Relaxed)
}

/// Returns a number that grows with each change to a watched relation.
pub fn changes() -> u64 {
    CHANGES.load(Ordering::Relaxed)
}

/// Locks the relation against DDL until the end of the transaction. Changes made before that have
/// been counted when this returns.
pub fn lock(relation: pg_sys::Oid) {
    // SAFETY: main thread, inside a transaction. A dropped relation may be locked as well.
    unsafe { pg_sys::LockRelationOid(relation, pg_sys::RowExclusiveLock as i32) };
}

/// Records the change and does nothing else: a callback may neither read catalogs nor fail.
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
