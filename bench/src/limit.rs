//! The limit: the most that the server can do, from binary files on the server, with rows in the
//! order of their messages. Three ways are measured: one COPY of all rows; two sessions with half
//! of them each; and pieces of five thousand rows, each an asynchronous transaction, which is the
//! limit of every writer that commits in batches.
//!
//! COPY cannot skip duplicates, so it gets only the missing rows, and its rate is that of these
//! rows.

use crate::fixture::{Fixture, PIECE_ROWS};
use crate::measure::{Meter, Round};
use crate::workload::Workload;

/// Ways to divide the rows into statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// One COPY.
    Whole,
    /// Two sessions at the same time.
    Halves,
    /// One transaction for each piece.
    Pieces,
}

/// Runs one round, and returns its figures and the number of rows written.
pub async fn round(
    fixture: &Fixture,
    workload: &Workload,
    cut: Cut,
    messages: u64,
) -> Result<(Round, u64), String> {
    let backend = fixture
        .session
        .query_one("SELECT pg_backend_pid()", &[])
        .await;
    let backend: i32 = backend.expect("ask for the backend").get(0);
    let second = fixture.stack.pg.connect().await;
    let mut meter = Meter::start(&fixture.stack);
    meter.watch(backend);
    match cut {
        Cut::Whole if workload.duplicates => fixture.copy_in(workload, "rest").await,
        Cut::Whole => fixture.copy_in(workload, "all").await,
        Cut::Halves => {
            let sql = fixture.copy_in_statement(workload, "second");
            let (_, done) = tokio::join!(
                fixture.copy_in(workload, "first"),
                second.batch_execute(&sql)
            );
            done.map_err(|error| format!("{error:?}"))?;
        }
        Cut::Pieces => {
            fixture.execute("SET synchronous_commit = off").await;
            for piece in 0..messages.div_ceil(PIECE_ROWS) {
                fixture.copy_in(workload, &piece.to_string()).await;
            }
            fixture.execute("RESET synchronous_commit").await;
            fixture.flush().await?;
        }
    }
    Ok((meter.stop(), messages - workload.rows_before(messages)))
}
