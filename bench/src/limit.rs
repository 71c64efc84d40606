//! What the server can do at all: one COPY of all rows, from a binary file on the server.
//!
//! With duplicates, COPY can do no part of the work: it gets the rows that are missing, and its
//! rate is that of these.

use crate::ground::Ground;
use crate::measure::{Meter, Round};
use crate::workload::Workload;

/// One round, and how many rows it wrote.
pub async fn round(ground: &Ground, workload: &Workload, messages: u64) -> (Round, u64) {
    let part = if workload.duplicates { "rest" } else { "all" };
    let backend = ground
        .session
        .query_one("SELECT pg_backend_pid()", &[])
        .await;
    let backend: i32 = backend.expect("ask for the backend").get(0);
    let mut meter = Meter::start(ground.stack.pg.postmaster_pid());
    meter.watch(backend);
    ground.copy_in(workload, part).await;
    (meter.stop(), messages - workload.rows_before(messages))
}
