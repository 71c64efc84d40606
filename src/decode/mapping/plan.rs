//! Carries out a table of fields: its keys are looked up once, and each object becomes a row.
//! The one place where a row's time is checked.

use row::{Cell, Rows, Table};

use super::field::{Field, Otherwise, Rule};
use super::{Source, Value, Variant, convert};
use crate::json::{Keys, Slots};
use crate::{Message, Reject};

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
    is_row_time: bool,
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
    pub fn new(table: &Table, fields: &'static [Field], variants: &'static [Variant]) -> Self {
        let mut keys = Keys::default();
        let steps = resolve(&mut keys, table, fields, &[]);
        let mut special = Vec::new();
        for variant in variants {
            special.push(Special {
                variant,
                slots: slots(&mut keys, variant.keys),
                steps: resolve(&mut keys, table, fields, variant.fields),
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
    pub fn append(&self, object: Object<'_, '_>, rows: &mut Rows) -> Result<(), Reject> {
        let special = self.special.iter().find(|special| special.applies(object));
        for step in special.map_or(&self.steps, |special| &special.steps) {
            step.append(object, rows)?;
        }
        rows.end_row();
        Ok(())
    }
}

/// The steps for `fields`, of which those in `instead` replace the ones of the same column.
fn resolve(
    keys: &mut Keys,
    table: &Table,
    fields: &'static [Field],
    instead: &'static [Field],
) -> Vec<Step> {
    let step = |field: &'static Field| {
        let name = field.column.name;
        let field = instead
            .iter()
            .find(|f| f.column.name == name)
            .unwrap_or(field);
        Step {
            field,
            slots: slots(keys, field.keys),
            is_row_time: name == table.time,
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
    fn append(&self, object: Object<'_, '_>, rows: &mut Rows) -> Result<(), Reject> {
        let Object {
            message,
            index,
            values,
        } = object;
        let Field {
            column,
            keys,
            rule,
            otherwise,
        } = self.field;
        let keep_false = column.kind == row::Kind::Bool;
        let source = Source {
            values,
            keys,
            slots: &self.slots,
            keep_false,
        };
        let value = match rule {
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
        let cell = match (&value, otherwise) {
            (Value::Null, Otherwise::Cell(cell)) => *cell,
            (Value::Null, Otherwise::Published) => Cell::Timestamp(message.published),
            (Value::Null, Otherwise::Derived(derive)) => {
                derived = derive(message, index);
                Cell::Text(&derived)
            }
            (Value::Null, Otherwise::Reject) => return Err(Reject::field(column.name, "missing")),
            _ => value.cell(),
        };
        match cell {
            Cell::Timestamp(time) if self.is_row_time => match message.window.objection(time) {
                Some(objection) => return Err(Reject::field(column.name, objection)),
                None => rows.push(cell),
            },
            _ => rows.push(cell),
        }
        Ok(())
    }
}
