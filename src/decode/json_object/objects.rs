//! Formats whose messages are JSON objects, each of which gives one row, described by a
//! mapping for each column.

use std::sync::Arc;

use row::Table;

use super::plan::{MessageObject, Plan};
use super::{ColumnMapping, Source};
use crate::json::each_object;
use crate::{Format, Message, Reject, RowSink};

/// A format that gives one row for each object of a message.
pub(crate) struct ObjectFormat {
    name: &'static str,
    tables: [Arc<Table>; 1],
    plan: Plan,
}

/// A kind of object that fills some columns in another way.
pub(crate) struct Variant {
    /// The keys by which such an object is recognized.
    pub keys: &'static [&'static str],
    /// Returns whether an object is of this kind.
    pub applies: fn(Source<'_, '_>, &Message<'_>) -> bool,
    /// The mappings that replace those of the same columns.
    pub mappings: &'static [ColumnMapping],
}

impl ObjectFormat {
    /// Creates a format that fills `table`, whose columns were created from `mappings`.
    pub fn new(name: &'static str, table: Table, mappings: &'static [ColumnMapping]) -> Self {
        Self::with_variants(name, table, mappings, &[])
    }

    /// Creates a format with variants; the first one that applies to an object is used.
    pub fn with_variants(
        name: &'static str,
        table: Table,
        mappings: &'static [ColumnMapping],
        variants: &'static [Variant],
    ) -> Self {
        Self {
            name,
            tables: [Arc::new(table)],
            plan: Plan::new(mappings, variants),
        }
    }
}

impl Format for ObjectFormat {
    fn name(&self) -> &str {
        self.name
    }

    fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    fn decode(&self, message: &Message<'_>, out: &mut RowSink<'_>) -> Result<(), Reject> {
        let payload = std::str::from_utf8(message.payload)
            .map_err(|error| Reject::payload(format!("not UTF-8: {error}")))?;
        let mut rows = out.table(0)?;
        each_object(payload, self.plan.keys(), |index, values| {
            let object = MessageObject {
                message,
                index,
                values,
            };
            self.plan.append(object, &mut rows)
        })
    }
}
