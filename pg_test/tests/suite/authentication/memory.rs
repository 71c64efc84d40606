//! What stays of a secret in the memory of the worker, and so in a core file of it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use pg_test::secret_files::SecretFiles;
use pg_test::stack::Stack;

use super::method::{Credentials, Method, Nkey};
use super::{FILE, start};
use crate::outages::Outages;

/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;

/// Returns whether the memory of a process, as far as it belongs to it alone, contains a text.
fn memory_contains(pid: i32, text: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("a running process");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let private = maps.lines().filter(|line| line.contains(" rw-p "));
    let contains = |line: &str| {
        let range = line.split(' ').next()?.split_once('-')?;
        let parse = |text| u64::from_str_radix(text, 16).ok();
        let (mut at, end) = (parse(range.0)?, parse(range.1)?);
        while at < end {
            // A text may lie across the end of a piece.
            let size = usize::try_from((end - at).min(PIECE + 256)).ok()?;
            let mut piece = vec![0; size];
            let read = memory.read_at(&mut piece, at).ok()?;
            let mut windows = piece.get(..read)?.windows(text.len());
            if windows.any(|window| window == text.as_bytes()) {
                return Some(true);
            }
            at += PIECE;
        }
        Some(false)
    };
    private.filter_map(contains).any(|found| found)
}

/// The seed of a working connection is not in the memory of the worker.
async fn expect_wiped(method: &dyn Method) {
    let files = SecretFiles::new();
    let stack: Stack = start(method, &files).await;
    Outages::begin(&stack).await.end().await;
    let pid = stack.pg.worker_pid().await;
    // What the search finds in any case.
    assert!(memory_contains(pid, &files.setting(FILE)));
    let secret = method.secret();
    let seed = secret
        .lines()
        .find(|line| line.starts_with("SU"))
        .expect("a seed");
    assert!(!memory_contains(pid, seed), "the seed is in memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_of_an_nkey_is_wiped_from_memory_after_use() {
    expect_wiped(&Nkey::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_of_credentials_is_wiped_from_memory_after_use() {
    expect_wiped(&Credentials::new()).await;
}
