//! Replays dead letters, each exactly once, or discards them. The row in the table is locked, and
//! is resolved in the transaction that writes the message's rows.

use super::accepted_config;
use super::replayer::Replayer;
use crate::catalog::dead_letter::{self, Selection};
use crate::config;
use crate::error::{UserError, or_raise};
use crate::pg::subtransaction::End;
use pgrx::prelude::*;

/// The result of one dead letter: id, success, names of the tables, number of rows, error.
type ReplayOutcome = (i64, bool, Option<String>, Option<i64>, Option<String>);

/// Decodes dead letters again and writes their rows.
#[pg_extern]
#[allow(
    clippy::type_complexity,
    reason = "the columns of the result, in order"
)]
fn sr_event_writer_replay(
    stream: Option<&str>,
    ids: Option<Vec<Option<i64>>>,
    limit: Option<i32>,
    dry_run: Option<bool>,
) -> TableIterator<
    'static,
    (
        name!(id, i64),
        name!(ok, bool),
        name!(table_name, Option<String>),
        name!(rows, Option<i64>),
        name!(error, Option<String>),
    ),
> {
    let end = match dry_run {
        Some(true) => End::Undo,
        Some(false) | None => End::Keep,
    };
    let outcomes = or_raise(replay(stream, ids, limit, end));
    TableIterator::new(outcomes)
}

/// Marks dead letters as discarded, and returns their number.
#[pg_extern]
fn sr_event_writer_discard(ids: Vec<Option<i64>>) -> i64 {
    let discarded = or_raise(dead_letter::discard(ids).map_err(UserError::from));
    i64::try_from(discarded).unwrap_or(i64::MAX)
}

/// Replays the dead letters that match. Returns one result for each.
fn replay(
    stream: Option<&str>,
    ids: Option<Vec<Option<i64>>>,
    limit: Option<i32>,
    end: End,
) -> Result<Vec<ReplayOutcome>, UserError> {
    let config = config::read()?;
    if let Some(pipeline) = stream.and_then(|name| config.pipeline(name)) {
        accepted_config(pipeline)?;
    }
    let mut replayer = Replayer::new(config)?;
    let mut outcomes = Vec::new();
    // A dry run locks nothing.
    let selection = match end {
        End::Keep => Selection::Locked,
        End::Undo => Selection::Unlocked,
    };
    for id in dead_letter::unresolved(stream, ids, limit, selection)? {
        check_for_interrupts!();
        let Some(dead_letter) = dead_letter::load(id)? else {
            continue;
        };
        let outcome = replayer.replay(&dead_letter, end, || dead_letter::mark_replayed(id));
        outcomes.push(match outcome {
            Ok(done) => {
                let rows = i64::try_from(done.rows).unwrap_or(i64::MAX);
                (id, true, Some(done.tables), Some(rows), None)
            }
            Err(failure) => (id, false, None, None, Some(failure.to_string())),
        });
    }
    replayer.finish()?;
    Ok(outcomes)
}
