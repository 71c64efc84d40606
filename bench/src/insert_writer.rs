//! An external writer like ServiceRadar's `EventWriter`: one INSERT of a hundred rows per
//! transaction, with ON CONFLICT DO NOTHING.

use tokio::sync::mpsc::{Receiver, Sender};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Statement};

use crate::batches::{Batch, Outcome, text};
use crate::typed::{Cells, Shape};
use crate::workload::{Workload, quoted};

/// Writes batches until there are no more.
pub async fn write<S: Shape>(
    database: Client,
    workload: Workload,
    mut batches: Receiver<Batch>,
    written: Sender<Batch>,
) -> Outcome<()> {
    let mut prepared: Option<(usize, Statement)> = None;
    while let Some(batch) = batches.recv().await {
        // All batches but the last have the same size.
        let statement = match &prepared {
            Some((rows, statement)) if *rows == batch.len() => statement.clone(),
            _ => {
                let statement = prepare::<S>(&database, workload, batch.len()).await?;
                prepared = Some((batch.len(), statement.clone()));
                statement
            }
        };
        let rows: Result<Vec<S::Row<'_>>, _> = batch
            .iter()
            .map(|message| serde_json::from_slice(&message.payload))
            .collect();
        let rows = rows.map_err(text)?;
        let values: Vec<&(dyn ToSql + Sync)> = rows.iter().flat_map(Cells::cells).collect();
        // Autocommit: the statement is a transaction.
        database.execute(&statement, &values).await.map_err(text)?;
        drop(values);
        drop(rows);
        if written.send(batch).await.is_err() {
            return Err("the acknowledging end is gone".to_owned());
        }
    }
    Ok(())
}

async fn prepare<S: Shape>(
    database: &Client,
    workload: Workload,
    rows: usize,
) -> Outcome<Statement> {
    let width = S::COLUMNS.len();
    let row = |row: usize| {
        let places: Vec<String> = (1..=width)
            .map(|column| format!("${}", row * width + column))
            .collect();
        format!("({})", places.join(","))
    };
    let values: Vec<String> = (0..rows).map(row).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES {} ON CONFLICT DO NOTHING",
        workload.feed.table(),
        quoted(S::COLUMNS),
        values.join(",")
    );
    let types: Vec<Type> = S::TYPES
        .iter()
        .cloned()
        .cycle()
        .take(width * rows)
        .collect();
    database.prepare_typed(&sql, &types).await.map_err(text)
}
