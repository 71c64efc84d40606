//! The fastest external COPY writer with the same guarantee as the extension: five thousand rows
//! per transaction, sorted for the table's index, sent in large pieces, encoded while the previous
//! batch is copied. Commits are asynchronous, and each batch is acknowledged once the WAL is
//! flushed.
//!
//! With a unique key it copies optimistically, and uses a temporary table after a duplicate key.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement};

use crate::batches::{Batch, Outcome, text};
use crate::typed::{Cells, Neighbours, Shape};
use crate::workload::{Workload, quoted};

/// Bytes in one message of the COPY protocol.
const PIECE: usize = 256 << 10;
/// Encoded batches that wait to be copied.
const AHEAD: usize = 2;
/// Interval between two queries for the flush position.
const LOOK: Duration = Duration::from_millis(5);
/// Batches that use the temporary table after a duplicate key.
const DETOUR: u32 = 16;
/// Beginning of PostgreSQL's binary COPY format; [`TRAILER`] is its end.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;

/// A batch, and its rows in the format of COPY.
struct Encoded {
    batch: Batch,
    rows: Bytes,
}

/// A committed batch, and the WAL position after its commit.
struct Committed {
    batch: Batch,
    lsn: String,
}

/// Writes batches until there are no more. `log` is a second connection, for queries of the flush
/// position.
pub async fn write<S: Shape>(
    database: Client,
    log: Client,
    workload: Workload,
    batches: Receiver<Batch>,
    written: Sender<Batch>,
) -> Outcome<()> {
    let (encoded, to_copy) = mpsc::channel(AHEAD);
    let (committed, to_flush) = mpsc::channel(64);
    let encoding = tokio::spawn(encode_all::<S>(batches, encoded));
    let flushing = tokio::spawn(pass_on_flushed(log, to_flush, written));
    copy_all::<S>(database, workload, to_copy, committed).await?;
    encoding.await.map_err(text)??;
    flushing.await.map_err(text)?
}

async fn encode_all<S: Shape>(
    mut batches: Receiver<Batch>,
    encoded: Sender<Encoded>,
) -> Outcome<()> {
    while let Some(batch) = batches.recv().await {
        let rows = encode::<S>(&batch)?;
        if encoded.send(Encoded { batch, rows }).await.is_err() {
            return Err("the copying end is gone".to_owned());
        }
    }
    Ok(())
}

fn encode<S: Shape>(batch: &Batch) -> Outcome<Bytes> {
    let rows = batch.iter().map(|m| serde_json::from_slice(&m.payload));
    let mut rows: Vec<S::Row<'_>> = rows.collect::<Result<_, _>>().map_err(text)?;
    rows.sort_by(|a, b| a.order().cmp(&b.order()));
    let mut out = BytesMut::with_capacity(rows.len() * 512);
    out.put_slice(HEADER);
    for row in &rows {
        let cells = row.cells();
        out.put_i16(i16::try_from(cells.len()).map_err(text)?);
        for (cell, kind) in cells.into_iter().zip(S::TYPES) {
            let length_at = out.len();
            out.put_i32(-1);
            let is_null = cell.to_sql_checked(kind, &mut out).map_err(text)?;
            if let tokio_postgres::types::IsNull::No = is_null {
                let length = i32::try_from(out.len() - length_at - 4).map_err(text)?;
                out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
            }
        }
    }
    out.put_i16(TRAILER);
    Ok(out.freeze())
}

/// The statements for a table.
struct Statements {
    copy: Statement,
    /// COPY to the temporary table, and from there to the table; only if there is a unique key.
    detour: Option<(Statement, Statement)>,
}

impl Statements {
    async fn prepare<S: Shape>(database: &Client, workload: &Workload) -> Outcome<Self> {
        let (table, columns) = (workload.feed.table(), quoted(S::COLUMNS));
        let copy = |target: &str| format!("COPY {target} ({columns}) FROM STDIN (FORMAT binary)");
        let detour = match workload.key() {
            None => None,
            Some(_) => {
                let staging = format!(
                    "CREATE TEMP TABLE staging (LIKE {table}) ON COMMIT DELETE ROWS; \
                     ALTER TABLE staging ALTER created_at SET DEFAULT now()"
                );
                database.batch_execute(&staging).await.map_err(text)?;
                let merge = format!(
                    "INSERT INTO {table} ({columns}) SELECT {columns} FROM staging ON CONFLICT DO NOTHING"
                );
                let into = database.prepare(&copy("staging")).await.map_err(text)?;
                Some((into, database.prepare(&merge).await.map_err(text)?))
            }
        };
        let copy = database.prepare(&copy(table)).await.map_err(text)?;
        Ok(Self { copy, detour })
    }
}

async fn copy_all<S: Shape>(
    mut database: Client,
    workload: Workload,
    mut batches: Receiver<Encoded>,
    committed: Sender<Committed>,
) -> Outcome<()> {
    let off = "SET synchronous_commit = off";
    database.batch_execute(off).await.map_err(text)?;
    let statements = Statements::prepare::<S>(&database, &workload).await?;
    let mut detour_left = 0;
    while let Some(Encoded { batch, rows }) = batches.recv().await {
        let mut done = false;
        if detour_left == 0 {
            done = copied(&mut database, &statements.copy, None, &rows).await?;
        }
        if !done {
            let Some((into, merge)) = &statements.detour else {
                return Err("a key was taken where there is none".to_owned());
            };
            detour_left = if detour_left == 0 {
                DETOUR
            } else {
                detour_left - 1
            };
            copied(&mut database, into, Some(merge), &rows).await?;
        }
        let lsn = database
            .query_one("SELECT pg_current_wal_insert_lsn()::text", &[])
            .await;
        let lsn = lsn.map_err(text)?.get(0);
        if committed.send(Committed { batch, lsn }).await.is_err() {
            return Err("the acknowledging end is gone".to_owned());
        }
    }
    Ok(())
}

/// Copies rows in one transaction. Returns false if it was rolled back because of a duplicate key.
async fn copied(
    database: &mut Client,
    copy: &Statement,
    merge: Option<&Statement>,
    rows: &Bytes,
) -> Outcome<bool> {
    let transaction = database.transaction().await.map_err(text)?;
    let mut sink = pin!(transaction.copy_in::<_, Bytes>(copy).await.map_err(text)?);
    let mut rest = rows.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(PIECE.min(rest.len()));
        if sink.send(piece).await.is_err() {
            // The server reports the reason at the end.
            break;
        }
    }
    match sink.finish().await {
        Ok(_) => {}
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            transaction.rollback().await.map_err(text)?;
            return Ok(false);
        }
        Err(error) => return Err(text(error)),
    }
    if let Some(merge) = merge {
        transaction.execute(merge, &[]).await.map_err(text)?;
    }
    transaction.commit().await.map_err(text)?;
    Ok(true)
}

/// Passes batches on to be acknowledged, once the WAL is flushed up to their commits.
async fn pass_on_flushed(
    log: Client,
    mut committed: Receiver<Committed>,
    written: Sender<Batch>,
) -> Outcome<()> {
    let is_flushed = "SELECT pg_current_wal_flush_lsn() >= $1::text::pg_lsn";
    let is_flushed = log.prepare(is_flushed).await.map_err(text)?;
    while let Some(Committed { batch, lsn }) = committed.recv().await {
        while !log
            .query_one(&is_flushed, &[&lsn])
            .await
            .map_err(text)?
            .get::<_, bool>(0)
        {
            tokio::time::sleep(LOOK).await;
        }
        if written.send(batch).await.is_err() {
            return Err("the acknowledging end is gone".to_owned());
        }
    }
    Ok(())
}
