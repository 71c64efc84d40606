//! The most that the server can do, from binary files on the server, with rows in the order of
//! their messages: one COPY of all rows; two sessions with half of them each; and pieces of five
//! thousand, each a transaction that does not wait for the disk, which bounds every writer that
//! commits batches.
//!
//! COPY cannot skip duplicates, so it gets only the missing rows, and its rate is that of these
//! rows.

use crate::ground::{Ground, PIECE_ROWS};
use crate::measure::{Meter, Round};
use crate::workload::Workload;

/// The division of the rows into statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// One COPY.
    Whole,
    /// Two sessions at once.
    Halves,
    /// One transaction for each piece.
    Pieces,
}

/// One round, and how many rows it wrote.
pub async fn round(
    ground: &Ground,
    workload: &Workload,
    cut: Cut,
    messages: u64,
) -> Result<(Round, u64), String> {
    let backend = ground
        .session
        .query_one("SELECT pg_backend_pid()", &[])
        .await;
    let backend: i32 = backend.expect("ask for the backend").get(0);
    let second = ground.stack.pg.connect().await;
    let mut meter = Meter::start(&ground.stack);
    meter.watch(backend);
    match cut {
        Cut::Whole if workload.duplicates => ground.copy_in(workload, "rest").await,
        Cut::Whole => ground.copy_in(workload, "all").await,
        Cut::Halves => {
            let sql = ground.copy_in_statement(workload, "second");
            let (_, done) = tokio::join!(
                ground.copy_in(workload, "first"),
                second.batch_execute(&sql)
            );
            done.map_err(|error| format!("{error:?}"))?;
        }
        Cut::Pieces => {
            ground.execute("SET synchronous_commit = off").await;
            for piece in 0..messages.div_ceil(PIECE_ROWS) {
                ground.copy_in(workload, &piece.to_string()).await;
            }
            ground.execute("RESET synchronous_commit").await;
            ground.flush().await?;
        }
    }
    Ok((meter.stop(), messages - workload.rows_before(messages)))
}
