//! A format whose messages are JSON objects, one row each, described by a table of fields.

use std::sync::OnceLock;

use row::{RowSet, Table};

use super::plan::{Object, Plan};
use super::{Field, Source};
use crate::json::each_object;
use crate::{Format, Message, Reject};

/// One row per object of a message.
pub(crate) struct ObjectFormat {
    name: &'static str,
    tables: &'static [&'static Table; 1],
    fields: &'static [Field],
    variants: &'static [Variant],
    plan: OnceLock<Plan>,
}

/// Objects that fill some columns in another way.
pub(crate) struct Variant {
    /// The keys by which such an object is known.
    pub keys: &'static [&'static str],
    /// Whether an object is one.
    pub applies: fn(Source<'_, '_>, &Message<'_>) -> bool,
    /// Stand in for the fields of the same columns.
    pub fields: &'static [Field],
}

impl ObjectFormat {
    /// `fields` are those of which the only one of `tables` was made.
    pub const fn new(
        name: &'static str,
        tables: &'static [&'static Table; 1],
        fields: &'static [Field],
    ) -> Self {
        Self {
            name,
            tables,
            fields,
            variants: &[],
            plan: OnceLock::new(),
        }
    }

    /// The same format with special kinds of objects; the first that applies is taken.
    pub const fn with_variants(mut self, variants: &'static [Variant]) -> Self {
        self.variants = variants;
        self
    }
}

impl Format for ObjectFormat {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tables(&self) -> &'static [&'static Table] {
        self.tables
    }

    fn decode(&self, message: &Message<'_>, out: &mut RowSet) -> Result<(), Reject> {
        let payload = std::str::from_utf8(message.payload)
            .map_err(|error| Reject::payload(format!("not UTF-8: {error}")))?;
        let rows = out
            .table_mut(0)
            .ok_or_else(|| Reject::payload("no table to write to"))?;
        let plan = self
            .plan
            .get_or_init(|| Plan::new(self.tables[0], self.fields, self.variants));
        each_object(payload, plan.keys(), |index, values| {
            plan.append(
                Object {
                    message,
                    index,
                    values,
                },
                rows,
            )
        })
    }
}
