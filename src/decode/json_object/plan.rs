//! Applies a table of fields: its keys are resolved to slots once, and each object becomes a row.

use row::Cell;

use super::field::{Field, Otherwise, Rule};
use super::{Source, Value, Variant, convert};
use crate::json::{Keys, Slots};
use crate::{Message, Reject, TableSink};

/// A table of fields, with the slots of their keys.
pub(super) struct Plan {
    /// All keys of the format.
    keys: Keys,
    /// The fields of ordinary objects.
    steps: Vec<Step>,
    /// The fields of special kinds of objects.
    special: Vec<Special>,
}

/// One field, with the slots of its keys.
struct Step {
    field: &'static Field,
    slots: Vec<usize>,
}

/// A variant, and the steps for objects that it applies to.
struct Special {
    variant: &'static Variant,
    slots: Vec<usize>,
    steps: Vec<Step>,
}

/// One object of a message.
#[derive(Clone, Copy)]
pub(super) struct Object<'o, 'a> {
    /// The message that contains it.
    pub message: &'o Message<'o>,
    /// Its index in the message's array.
    pub index: usize,
    /// The values of its keys, by slot.
    pub values: &'o Slots<'a>,
}

impl Plan {
    /// Resolves the keys of all fields and variants.
    pub fn new(fields: &'static [Field], variants: &'static [Variant]) -> Self {
        let mut keys = Keys::default();
        let steps = resolve(&mut keys, fields, &[]);
        let mut special = Vec::new();
        for variant in variants {
            special.push(Special {
                variant,
                slots: slots(&mut keys, variant.keys),
                steps: resolve(&mut keys, fields, variant.fields),
            });
        }
        Self {
            keys,
            steps,
            special,
        }
    }

    /// Returns all keys of the format.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Appends the row of one object.
    pub fn append(&self, object: Object<'_, '_>, rows: &mut TableSink<'_>) -> Result<(), Reject> {
        let special = self.special.iter().find(|special| special.applies(object));
        for step in special.map_or(&self.steps, |special| &special.steps) {
            step.append(object, rows)?;
        }
        rows.end_row()
    }
}

/// Returns the steps for `fields`, in the order of the columns. Fields in `instead` replace those
/// of the same column.
fn resolve(keys: &mut Keys, fields: &'static [Field], instead: &'static [Field]) -> Vec<Step> {
    let step = |field: &'static Field| {
        let same_column = |other: &&Field| other.name == field.name;
        let field = instead.iter().find(same_column).unwrap_or(field);
        Step {
            field,
            slots: slots(keys, field.keys),
        }
    };
    fields.iter().map(step).collect()
}

/// Returns the slots of keys.
fn slots(keys: &mut Keys, names: &[&'static str]) -> Vec<usize> {
    names.iter().map(|name| keys.add(name)).collect()
}

impl Special {
    /// Returns whether the variant applies to an object.
    fn applies(&self, object: Object<'_, '_>) -> bool {
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
    fn append(&self, object: Object<'_, '_>, rows: &mut TableSink<'_>) -> Result<(), Reject> {
        let Object {
            message,
            index,
            values,
        } = object;
        let source = Source {
            values,
            keys: self.field.keys,
            slots: &self.slots,
            keep_false: self.field.kind == row::Kind::Bool,
        };
        let value = match self.field.rule {
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
            Value::Null => match self.field.otherwise {
                Otherwise::Cell(cell) => cell,
                Otherwise::Published => Cell::Timestamp(message.published),
                Otherwise::Derived(derive) => {
                    derived = derive(message, index);
                    Cell::Text(&derived)
                }
                Otherwise::Reject => return Err(Reject::field(self.field.name, "missing")),
            },
            ref value => value.cell(),
        });
        Ok(())
    }
}
