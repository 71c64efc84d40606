//! Dead letters once more, in a session's transaction: the worker's decoder, ids, destination,
//! statement and role. What differs is whose transaction it is.

use crate::catalog::dead_letter::{self, StoredLetter};
use crate::config::Config;
use crate::destination::{self, Insert};
use crate::pg::OfSession;
use crate::pg::failure::Failure;
use crate::pg::search_path::{self, SearchPath};
use crate::pg::sql_state::SqlState;
use crate::pg::subtransaction::{self, End};
use crate::pg::user_context::UserContext;
use decode::{FormatRef, Message, Window};
use pgrx::prelude::*;
use row::{RowSet, RowSlices};
use std::collections::HashMap;

/// The role that the worker connects as, which `"$user"` in its path stands for.
const WORKER_ROLE: u32 = pg_sys::BOOTSTRAP_SUPERUSERID;

/// Result of one dead letter.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Names of the tables that took rows, separated by commas.
    pub tables: String,
    /// Rows inserted or updated.
    pub rows: u64,
}

/// Replays dead letters one by one.
pub struct Replayer {
    config: Config,
    path: SearchPath,
    deferred: OfSession,
    /// Destinations that were looked up, by pipeline and processor.
    known: HashMap<(String, String), Vec<Insert>>,
}

impl Replayer {
    /// Makes one for the current settings and the rights of the worker.
    ///
    /// # Errors
    /// What the database says.
    pub fn new(config: Config) -> Result<Self, Failure> {
        Ok(Self {
            config,
            path: search_path::of_the_worker()?,
            deferred: OfSession::fire_at_once()?,
            known: HashMap::new(),
        })
    }

    /// Writes the rows of one dead letter and then calls `mark`: both take effect, or neither.
    ///
    /// # Errors
    /// The reason why there are no rows. The rest of the transaction is unharmed.
    pub fn replay(
        &mut self,
        letter: &StoredLetter,
        end: End,
        mark: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Replayed, Failure> {
        let key = (letter.pipeline.clone(), letter.processor.clone());
        // Taken out, so that nothing is kept of what a failure may have left half done.
        let mut inserts = self.known.remove(&key).unwrap_or_default();
        let replayed = subtransaction::run(end, || {
            let replayed = self.write(letter, &mut inserts)?;
            mark()?;
            Ok(replayed)
        })?;
        if end == End::Keep {
            self.known.insert(key, inserts);
        }
        Ok(replayed)
    }

    /// Restores what was changed in the caller's transaction.
    ///
    /// # Errors
    /// What the database says.
    pub fn finish(self) -> Result<(), Failure> {
        self.deferred.restore()
    }

    fn write(&self, letter: &StoredLetter, inserts: &mut Vec<Insert>) -> Result<Replayed, Failure> {
        let (format, chosen, window) = self.way(letter)?;
        let message = Message {
            subject: &letter.subject,
            payload: &letter.payload,
            stream: &letter.stream,
            sequence: letter.sequence,
            published: letter.published,
            window,
        };
        let mut rows = RowSet::new(format.tables());
        decode::decode_message(&**format, &message, &mut rows)
            .map_err(|reject| dead_letter::undecodable(&reject))?;
        if inserts.is_empty() {
            *inserts = look_up(format, chosen, &self.path)?;
        }
        let mut replayed = Replayed::default();
        for (insert, rows) in inserts.iter_mut().zip(rows.tables()) {
            if rows.is_empty() {
                continue;
            }
            let rows = RowSlices::all(rows);
            replayed.rows += Spi::connect_mut(|_| insert.write(&rows))?;
            if !replayed.tables.is_empty() {
                replayed.tables += ", ";
            }
            replayed.tables += &insert.target.name;
        }
        Ok(replayed)
    }

    /// Returns the format, table and time window that the pipeline has now. For a pipeline that is
    /// no longer active these are the dead letter's own processor and its table.
    fn way(&self, letter: &StoredLetter) -> Result<(&FormatRef, Option<&str>, Window), Failure> {
        let pipelines = &self.config.pipelines;
        if let Some(found) = pipelines.iter().find(|p| p.nats.name == letter.pipeline) {
            let window = found.nats.window(letter.published);
            return Ok((&found.nats.format, found.table.as_deref(), window));
        }
        let format = decode::format(&letter.processor).ok_or_else(|| {
            let (pipeline, processor) = (&letter.pipeline, &letter.processor);
            let message = format!(
                "pipeline \"{pipeline}\" is not active, and processor \"{processor}\" does not exist"
            );
            Failure::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })?;
        Ok((format, None, Window::default()))
    }
}

fn look_up(
    format: &FormatRef,
    chosen: Option<&str>,
    path: &SearchPath,
) -> Result<Vec<Insert>, Failure> {
    let as_worker = UserContext::switch_to(pg_sys::Oid::from(WORKER_ROLE), &SearchPath::pinned());
    let tables = format.tables().iter().enumerate();
    let found = tables.map(|(number, table)| {
        let chosen = chosen.filter(|_| number == 0);
        Ok(Insert::new(
            table.clone(),
            destination::lookup_destination(table, chosen, path.clone())?,
        ))
    });
    let found = found.collect::<Result<_, Failure>>()?;
    as_worker.restore()?;
    Ok(found)
}
