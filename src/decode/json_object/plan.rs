//! Applies the mappings of a table: their keys are resolved to slots once, and each object becomes
//! a row.

use row::Cell;

use super::mapping::{ColumnMapping, Fallback, Rule};
use super::{ConvertedValue, Source, Variant, convert};
use crate::json::{Keys, Slots};
use crate::{Message, Reject, TableSink};

/// The mappings of a table, with the slots of their keys.
pub(super) struct Plan {
    /// All keys of the format.
    keys: Keys,
    /// The mappings of ordinary objects.
    steps: Vec<Step>,
    /// The mappings of the objects that a variant applies to.
    variant_plans: Vec<VariantPlan>,
}

/// One mapping, with the slots of its keys.
struct Step {
    mapping: &'static ColumnMapping,
    slots: Vec<usize>,
}

/// A variant, and the steps for objects that it applies to.
struct VariantPlan {
    variant: &'static Variant,
    slots: Vec<usize>,
    steps: Vec<Step>,
}

/// One object of a message.
#[derive(Clone, Copy)]
pub(super) struct MessageObject<'o, 'a> {
    /// The message that contains it.
    pub message: &'o Message<'o>,
    /// Its index in the message's array.
    pub index: usize,
    /// The values of its keys, by slot.
    pub values: &'o Slots<'a>,
}

impl Plan {
    /// Resolves the keys of all mappings and variants.
    pub fn new(mappings: &'static [ColumnMapping], variants: &'static [Variant]) -> Self {
        let mut keys = Keys::default();
        let steps = resolve(&mut keys, mappings, &[]);
        let mut variant_plans = Vec::new();
        for variant in variants {
            variant_plans.push(VariantPlan {
                variant,
                slots: slots(&mut keys, variant.keys),
                steps: resolve(&mut keys, mappings, variant.mappings),
            });
        }
        Self {
            keys,
            steps,
            variant_plans,
        }
    }

    /// Returns all keys of the format.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Appends the row of one object.
    pub fn append(
        &self,
        object: MessageObject<'_, '_>,
        rows: &mut TableSink<'_>,
    ) -> Result<(), Reject> {
        let variant = self.variant_plans.iter().find(|plan| plan.applies(object));
        for step in variant.map_or(&self.steps, |plan| &plan.steps) {
            step.append(object, rows)?;
        }
        rows.end_row()
    }
}

/// Returns the steps for `mappings`, in the order of the columns. Mappings in `instead` replace
/// those of the same column.
fn resolve(
    keys: &mut Keys,
    mappings: &'static [ColumnMapping],
    instead: &'static [ColumnMapping],
) -> Vec<Step> {
    let step = |mapping: &'static ColumnMapping| {
        let same_column = |other: &&ColumnMapping| other.name == mapping.name;
        let mapping = instead.iter().find(same_column).unwrap_or(mapping);
        Step {
            mapping,
            slots: slots(keys, mapping.keys),
        }
    };
    mappings.iter().map(step).collect()
}

/// Returns the slots of keys.
fn slots(keys: &mut Keys, names: &[&'static str]) -> Vec<usize> {
    names.iter().map(|name| keys.add(name)).collect()
}

impl VariantPlan {
    /// Returns whether the variant applies to an object.
    fn applies(&self, object: MessageObject<'_, '_>) -> bool {
        let Self { variant, slots, .. } = self;
        let source = Source {
            values: object.values,
            keys: variant.keys,
            slots,
            keep_false: true,
        };
        (variant.applies)(source, object.message)
    }
}

impl Step {
    /// Appends the cell of one column.
    fn append(
        &self,
        object: MessageObject<'_, '_>,
        rows: &mut TableSink<'_>,
    ) -> Result<(), Reject> {
        let MessageObject {
            message,
            index,
            values,
        } = object;
        let source = Source {
            values,
            keys: self.mapping.keys,
            slots: &self.slots,
            keep_false: self.mapping.kind == row::Kind::Bool,
        };
        let value = match self.mapping.rule {
            Rule::Convert(convert) => source.convert(convert)?,
            Rule::Text => match source.plain_text() {
                Some(text) => {
                    rows.push(Cell::Text(text));
                    return Ok(());
                }
                None => source.convert(convert::text)?,
            },
            Rule::Compute(compute) => compute(source)?,
        };
        let derived;
        rows.push(match value {
            ConvertedValue::Null => match self.mapping.fallback {
                Fallback::Cell(cell) => cell,
                Fallback::Published => Cell::Timestamp(message.published),
                Fallback::Derived(derive) => {
                    derived = derive(message, index);
                    Cell::Text(&derived)
                }
                Fallback::Reject => return Err(Reject::field(self.mapping.name, "missing")),
            },
            ref value => value.cell(),
        });
        Ok(())
    }
}
