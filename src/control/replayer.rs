//! Writes dead letters again in the transaction of a database session, with the same decoder, ids,
//! destination, statement and role as the worker.

use super::accepted_config;
use crate::catalog::dead_letter::{self, StoredDeadLetter};
use crate::config::Config;
use crate::destination::{self, Insert};
use crate::pg::SessionConstraints;
use crate::pg::failure::Failure;
use crate::pg::search_path::{self, SearchPath};
use crate::pg::sql_state::SqlState;
use crate::pg::subtransaction::{self, End};
use crate::pg::user_context::UserContext;
use decode::{FormatRef, Message, Window};
use pgrx::prelude::*;
use row::{RowSet, RowSlices};
use std::collections::HashMap;

/// The role that the worker connects as. `"$user"` in its search path stands for it.
const WORKER_ROLE: u32 = pg_sys::BOOTSTRAP_SUPERUSERID;

/// The result of one dead letter.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Names of the tables that rows were written to, separated by commas.
    pub tables: String,
    /// Rows inserted or updated.
    pub rows: u64,
}

/// Replays dead letters one by one.
pub struct Replayer {
    config: Config,
    /// Search path of the worker.
    path: SearchPath,
    /// Change of the caller's transaction, to be undone.
    constraints: SessionConstraints,
    /// Destinations that were looked up, by pipeline and processor.
    looked_up: HashMap<(String, String), Vec<Insert>>,
}

impl Replayer {
    /// Creates a replayer for the current settings, with the rights of the worker.
    ///
    /// # Errors
    /// Those of the database.
    pub fn new(config: Config) -> Result<Self, Failure> {
        Ok(Self {
            config,
            path: search_path::of_the_worker()?,
            constraints: SessionConstraints::set_all_immediate()?,
            looked_up: HashMap::new(),
        })
    }

    /// Writes the rows of one dead letter and then calls `mark`: both take effect, or neither.
    ///
    /// # Errors
    /// When the rows cannot be written, with the reason. The rest of the transaction is unharmed.
    pub fn replay(
        &mut self,
        dead_letter: &StoredDeadLetter,
        end: End,
        mark: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Replayed, Failure> {
        let key = (dead_letter.pipeline.clone(), dead_letter.processor.clone());
        // Removed, so that after a failure no half-changed destination is kept.
        let mut inserts = self.looked_up.remove(&key).unwrap_or_default();
        let replayed = subtransaction::run(end, || {
            let replayed = self.write(dead_letter, &mut inserts)?;
            mark()?;
            Ok(replayed)
        })?;
        if end == End::Keep {
            self.looked_up.insert(key, inserts);
        }
        Ok(replayed)
    }

    /// Restores the caller's transaction.
    ///
    /// # Errors
    /// Those of the database.
    pub fn finish(self) -> Result<(), Failure> {
        self.constraints.restore()
    }

    /// Decodes a dead letter and writes its rows.
    fn write(
        &self,
        dead_letter: &StoredDeadLetter,
        inserts: &mut Vec<Insert>,
    ) -> Result<Replayed, Failure> {
        let (format, configured_names, window) = self.current_options(dead_letter)?;
        let message = Message {
            subject: &dead_letter.subject,
            payload: &dead_letter.payload,
            stream: &dead_letter.stream,
            sequence: dead_letter.sequence,
            published: dead_letter.published,
            window,
        };
        let mut rows = RowSet::new(format.tables());
        decode::decode_message(&**format, &message, &mut rows)
            .map_err(|reject| dead_letter::undecodable(&reject))?;
        if inserts.is_empty() {
            *inserts = look_up(format, configured_names, &self.path)?;
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

    /// Returns the format, tables and time window that the pipeline has now. If it is no longer
    /// active, returns the dead letter's own format, for its own tables.
    ///
    /// # Errors
    /// When the pipeline is active and its definition refused, or it is not and there is no such
    /// format any more.
    fn current_options(
        &self,
        dead_letter: &StoredDeadLetter,
    ) -> Result<(&FormatRef, &[String], Window), Failure> {
        if let Some(active) = self.config.pipeline(&dead_letter.pipeline) {
            let found = accepted_config(active)?;
            let window = found.nats.window(dead_letter.published);
            return Ok((&found.nats.format, &found.tables, window));
        }
        let format = decode::format(&dead_letter.processor).ok_or_else(|| {
            let (pipeline, processor) = (&dead_letter.pipeline, &dead_letter.processor);
            let message = format!(
                "pipeline \"{pipeline}\" is not active, and processor \"{processor}\" does not exist"
            );
            Failure::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })?;
        Ok((format, &[], Window::default()))
    }
}

/// Looks up the destinations of a format, as the worker's role and with its search path.
fn look_up(
    format: &FormatRef,
    configured_names: &[String],
    path: &SearchPath,
) -> Result<Vec<Insert>, Failure> {
    let as_worker = UserContext::switch_to(pg_sys::Oid::from(WORKER_ROLE), &SearchPath::pinned());
    let tables = format.tables().iter().enumerate();
    let found = tables.map(|(number, table)| {
        let configured_name = configured_names.get(number).map(String::as_str);
        Ok(Insert::new(
            table.clone(),
            destination::lookup_destination(table, configured_name, path.clone())?,
        ))
    });
    let found = found.collect::<Result<_, Failure>>()?;
    as_worker.restore()?;
    Ok(found)
}
