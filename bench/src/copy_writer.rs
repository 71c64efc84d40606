//! A fast external writer as it is usually built: binary COPY, a thousand rows per transaction.
//!
//! COPY has no ON CONFLICT, so with a unique key it copies to a temporary table first.

use std::pin::pin;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio_postgres::Client;
use tokio_postgres::binary_copy::BinaryCopyInWriter;

use crate::batches::{Batch, Outcome, text};
use crate::typed::{Cells, Shape};
use crate::workload::{Workload, quoted};

/// Writes batches until there are no more.
pub async fn write<S: Shape>(
    mut database: Client,
    workload: Workload,
    mut batches: Receiver<Batch>,
    written: Sender<Batch>,
) -> Outcome<()> {
    let table = workload.feed.table();
    let columns = quoted(S::COLUMNS);
    let staged = workload.key().is_some();
    let target = if staged { "staging" } else { table };
    if staged {
        let sql = format!(
            "CREATE TEMP TABLE staging (LIKE {table}) ON COMMIT DELETE ROWS; \
             ALTER TABLE staging ALTER created_at SET DEFAULT now()"
        );
        database.batch_execute(&sql).await.map_err(text)?;
    }
    let copy = database
        .prepare(&format!(
            "COPY {target} ({columns}) FROM STDIN (FORMAT binary)"
        ))
        .await
        .map_err(text)?;
    let merge = format!(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM {target} ON CONFLICT DO NOTHING"
    );
    let merge = database.prepare(&merge).await.map_err(text)?;
    while let Some(batch) = batches.recv().await {
        let transaction = database.transaction().await.map_err(text)?;
        let sink = transaction.copy_in(&copy).await.map_err(text)?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, S::TYPES));
        for message in &batch {
            let row: S::Row<'_> = serde_json::from_slice(&message.payload).map_err(text)?;
            writer.as_mut().write(&row.cells()).await.map_err(text)?;
        }
        writer.finish().await.map_err(text)?;
        if staged {
            transaction.execute(&merge, &[]).await.map_err(text)?;
        }
        transaction.commit().await.map_err(text)?;
        if written.send(batch).await.is_err() {
            return Err("the acknowledging end is gone".to_owned());
        }
    }
    Ok(())
}
