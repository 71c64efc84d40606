//! Looks a destination up in PostgreSQL's catalogs: which of a format's columns it has, under which
//! names and types, and which keys.

use super::statement;
use super::target::{OnConflict, TableColumn, Target, WrittenColumn};
use crate::pg::failure::Failure;
use crate::pg::search_path::SearchPath;
use crate::pg::sql_state::SqlState;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_qualified_identifier};
use row::{Column, Conflict, SortKey, Table};
use std::ffi::CStr;

/// Looks the destination up with `path` as `search_path`: the table that the pipeline's options
/// name, else the format's own.
///
/// # Errors
/// A [`Failure`] of class `Schema` that names the missing table or column. Errors of PostgreSQL are
/// raised, or returned as [`Failure`].
pub fn lookup_destination(
    table: &Table,
    configured_name: Option<&str>,
    path: SearchPath,
) -> Result<Target, Failure> {
    let wanted = configured_name.map_or_else(|| quote_identifier(&table.name), str::to_owned);
    Spi::connect(|client| {
        let relation = relation(client, &wanted, &path)?;
        let found = columns(client, relation.oid)?;
        let qualified = quote_qualified_identifier(&relation.schema, &relation.name);
        let written_columns = match_columns(table, &found, &qualified)?;
        let copy = match relation.takes_copy {
            true => {
                let sort = sort_key(client, relation.oid, table, &written_columns)?;
                statement::copy_target(table, &qualified, &written_columns, sort)?
            }
            false => None,
        };
        Ok(Target {
            relation: relation.oid,
            owner: relation.owner,
            on_conflict: conflict(client, relation.oid, table)?,
            written_columns,
            copy,
            name: qualified,
            path,
        })
    })
}

/// Returns the sort key for the oldest B-tree index that begins with a column of the format other
/// than the time. If there are several such indexes, this order makes the entries of the others
/// neither more nor less scattered.
fn sort_key(
    client: &Client<'_>,
    relation: pg_sys::Oid,
    table: &Table,
    written_columns: &[Option<WrittenColumn>],
) -> Result<Option<SortKey>, Failure> {
    let query = "SELECT a.attname::pg_catalog.text
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree'
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = $1 AND i.indisvalid ORDER BY i.indexrelid";
    for row in client.select(query, None, &[relation.into()])? {
        let name: String = row.get(1)?.unwrap_or_default();
        let mut written = written_columns.iter();
        let column = written
            .position(|written| written.as_ref().is_some_and(|w| w.column.name == name))
            .and_then(|at| table.columns.get(at));
        if let Some(key) = column.and_then(|column| SortKey::new(table, &column.name)) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// The destination's row of `pg_class`.
struct Relation {
    oid: pg_sys::Oid,
    owner: pg_sys::Oid,
    schema: String,
    name: String,
    /// True if the table can be written by COPY, which ignores rules, and refuses a table whose row
    /// security applies to the owner as well.
    takes_copy: bool,
}

type Client<'a> = spi::SpiClient<'a>;

/// Returns the table that `wanted` names, if rows can be written to it.
fn relation(client: &Client<'_>, wanted: &str, path: &SearchPath) -> Result<Relation, Failure> {
    // Only the resolution of the name depends on the path.
    let found = path.within(|| {
        // SAFETY: main thread, inside a transaction; a function of PostgreSQL with its one
        // argument.
        unsafe {
            pgrx::fcinfo::direct_function_call::<pg_sys::Oid>(
                pg_sys::to_regclass,
                &[wanted.into_datum()],
            )
        }
    });
    // A temporary table is never a destination: it can only belong to a session that replays, and
    // disappears with it.
    let query = "SELECT c.oid, c.relowner, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
            c.relkind IN ('r', 'p') AND NOT c.relhasrules
                AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = $1 AND c.relkind IN ('r', 'p', 'v', 'f') AND c.relpersistence <> 't'";
    let rows = client.select(query, Some(1), &[found.into()])?;
    let Some(row) = rows.into_iter().next() else {
        let missing = format!("table {wanted} does not exist");
        return Err(Failure::new(SqlState::UNDEFINED_TABLE, missing));
    };
    Ok(Relation {
        oid: row.get(1)?.unwrap_or(pg_sys::Oid::INVALID),
        owner: row.get(2)?.unwrap_or(pg_sys::Oid::INVALID),
        schema: row.get(3)?.unwrap_or_default(),
        name: row.get(4)?.unwrap_or_default(),
        takes_copy: row.get(5)?.unwrap_or_default(),
    })
}

/// Returns the destination's columns. In `pg_attribute` a generated column has a default, too.
fn columns(client: &Client<'_>, relation: pg_sys::Oid) -> Result<Vec<TableColumn>, Failure> {
    let query = "SELECT a.attname::pg_catalog.text, a.atttypmod,
            t.typcategory = 'S',
            (a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = ''
                AND t.typdefault IS NULL,
            a.attgenerated = '' AND a.attidentity <> 'a', a.atttypid,
            a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let mut found = Vec::new();
    for row in client.select(query, None, &[relation.into()])? {
        let type_oid = row.get(6)?.unwrap_or(pg_sys::Oid::INVALID);
        found.push(TableColumn {
            name: row.get(1)?.unwrap_or_default(),
            type_name: type_name(type_oid, row.get(2)?.unwrap_or(-1))?,
            is_string: row.get(3)?.unwrap_or_default(),
            must_be_given: row.get(4)?.unwrap_or_default(),
            can_be_given: row.get(5)?.unwrap_or_default(),
            has_default: row.get(7)?.unwrap_or_default(),
            type_oid,
        });
    }
    Ok(found)
}

/// Returns a type's name as SQL. It is qualified, because the statement runs under a path that may
/// contain schemas of other users.
fn type_name(oid: pg_sys::Oid, modifier: i32) -> Result<String, Failure> {
    // SAFETY: main thread, inside a transaction; the text is copied from its memory context.
    let name = unsafe {
        let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
        CStr::from_ptr(pg_sys::format_type_extended(oid, modifier, flags as u16))
    };
    let not_utf8 = |_| Failure::schema("a type's name is not UTF-8");
    name.to_str().map(str::to_owned).map_err(not_utf8)
}

/// Returns the destination's column for each column of the format; `None` where the destination
/// lacks an optional one.
fn match_columns(
    table: &Table,
    found: &[TableColumn],
    qualified: &str,
) -> Result<Vec<Option<WrittenColumn>>, Failure> {
    let mut written = Vec::new();
    for (number, column) in table.columns.iter().enumerate() {
        let there = find_column(column, found);
        if there.is_none() && column.required {
            return Err(Failure::new(
                SqlState::UNDEFINED_COLUMN,
                format!("table {qualified} lacks column \"{}\"", column.name),
            ));
        }
        written.push(there.map(|found| WrittenColumn {
            column: found.clone(),
            expression: statement::expression(number, column, found),
        }));
    }
    let given = |name: &str| {
        let mut written = written.iter().flatten();
        written.any(|written| written.column.name == name)
    };
    match found
        .iter()
        .find(|found| found.must_be_given && !given(&found.name))
    {
        None => Ok(written),
        Some(missing) => Err(Failure::schema(format!(
            "column \"{}\" of table {qualified} is NOT NULL without a default, and messages have no value for it",
            missing.name
        ))),
    }
}

/// Returns the destination's column with the name, or else the alias, of the format's column,
/// unless it is generated.
fn find_column<'a>(column: &Column, found: &'a [TableColumn]) -> Option<&'a TableColumn> {
    let named = |name: &str| found.iter().find(|f| f.name == name && f.can_be_given);
    named(&column.name).or_else(|| column.alias.as_deref().and_then(named))
}

/// Returns what the INSERT does with a duplicate key. Existing rows are updated only if the
/// destination has a unique index over exactly the format's key; otherwise rows with a duplicate
/// key are skipped. A table without any key gets no ON CONFLICT clause, so that it may have rules.
/// Nor does one with a deferrable key, because PostgreSQL would refuse every row; there a duplicate
/// key fails its row instead.
fn conflict(
    client: &Client<'_>,
    relation: pg_sys::Oid,
    table: &Table,
) -> Result<OnConflict, Failure> {
    let query = "SELECT pg_catalog.array_agg(a.attname::pg_catalog.text)
            FILTER (WHERE i.indisunique AND i.indimmediate AND i.indisvalid
                AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = i.indnatts),
            pg_catalog.bool_and(i.indimmediate)
        FROM pg_catalog.pg_index i
        LEFT JOIN pg_catalog.pg_attribute a
            ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::pg_catalog.int2[])
        WHERE i.indrelid = $1 AND (i.indisunique OR i.indisexclusion)
        GROUP BY i.indexrelid";
    let (mut any, mut immediate) = (false, true);
    for row in client.select(query, None, &[relation.into()])? {
        any = true;
        immediate &= row.get(2)?.unwrap_or(true);
        let names: Vec<String> = row.get(1)?.unwrap_or_default();
        if let Conflict::Update { key, columns } = &table.conflict
            && names.len() == key.len()
            && names.iter().all(|name| key.contains(name))
        {
            return Ok(OnConflict::Update {
                key: key.clone(),
                columns: columns.clone(),
            });
        }
    }
    Ok(match any && immediate {
        true => OnConflict::Nothing,
        false => OnConflict::Never,
    })
}
