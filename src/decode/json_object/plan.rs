//! Carries out a table of fields: its keys are looked up once, and each object becomes a row.

use row::Cell;

use super::field::{Field, Otherwise, Rule};
use super::{Source, Value, Variant, convert};
use crate::json::{Keys, Slots};
use crate::{Message, Reject, TableSink};

/// A table of fields with the slots of their keys.
pub(super) struct Plan {
    keys: Keys,
    steps: Vec<Step>,
    special: Vec<Special>,
}

/// One field, in the order of the columns.
struct Step {
    field: &'static Field,
    slots: Vec<usize>,
}

/// A variant, and the steps for objects to which it applies.
struct Special {
    variant: &'static Variant,
    slots: Vec<usize>,
    steps: Vec<Step>,
}

/// One object of a message.
#[derive(Clone, Copy)]
pub(super) struct Object<'o, 'a> {
    pub message: &'o Message<'o>,
    /// Its number in the message's array.
    pub index: usize,
    pub values: &'o Slots<'a>,
}

impl Plan {
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

/// The steps for `fields`, of which those in `instead` replace the ones of the same column.
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

fn slots(keys: &mut Keys, names: &[&'static str]) -> Vec<usize> {
    names.iter().map(|name| keys.add(name)).collect()
}

impl Special {
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
        rows.push(match (&value, self.field.otherwise) {
            (Value::Null, Otherwise::Cell(cell)) => cell,
            (Value::Null, Otherwise::Published) => Cell::Timestamp(message.published),
            (Value::Null, Otherwise::Derived(derive)) => {
                derived = derive(message, index);
                Cell::Text(&derived)
            }
            (Value::Null, Otherwise::Reject) => {
                return Err(Reject::field(self.field.name, "missing"));
            }
            _ => value.cell(),
        });
        Ok(())
    }
}
