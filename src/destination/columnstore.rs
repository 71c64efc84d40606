//! Writes rows directly into the columnstore of a hypertable, if the pipeline has
//! `columnstore=direct` and TimescaleDB supports it for the table. TimescaleDB itself reports an
//! unsuitable table only by a warning for each statement, and versions before 2.29 lose or miscount
//! rows. So all obstacles are looked for here, once, when the destination is looked up.
//!
//! Not tested with a columnstore: the testbed has TimescaleDB's Apache edition, which lacks it.

use crate::pg::failure::Failure;
use pgrx::prelude::*;

/// The first version of TimescaleDB, major and minor, in which this is safe.
const SINCE: (u32, u32) = (2, 29);
/// The smallest number of rows of a COPY for the columnstore. Fewer would make compressed batches
/// that are too small to be useful.
const ROWS: usize = 1_000;

/// The decision whether COPY writes directly into the columnstore of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnstoreUse {
    /// The pipeline does not ask for it, and TimescaleDB's own settings are left unchanged.
    Unasked,
    /// The pipeline asks for it, and nothing prevents it.
    Direct,
    /// The pipeline asks for it, and this is the reason why it is not possible.
    Unfit(String),
}

impl ColumnstoreUse {
    /// Checks whether anything prevents it. Inside a transaction only.
    ///
    /// # Errors
    /// Those of the database.
    pub fn look_up(relation: pg_sys::Oid) -> Result<Self, Failure> {
        Ok(match objection(relation)? {
            None => Self::Direct,
            Some(reason) => Self::Unfit(reason),
        })
    }

    /// Sets TimescaleDB's setting for a COPY of `rows` rows, until the end of the transaction.
    pub fn prepare(&self, rows: usize) {
        let value = match self {
            Self::Unasked | Self::Unfit(_) => return,
            Self::Direct if rows >= ROWS => c"on",
            Self::Direct => c"off",
        };
        // SAFETY: main thread, inside a transaction, whose end undoes it; both are constant
        // strings.
        unsafe {
            pg_sys::set_config_option(
                c"timescaledb.enable_direct_compress_copy".as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_LOCAL,
                true,
                0,
                false,
            );
        }
    }
}

/// Returns the reason why the columnstore cannot be used for this table, if there is one.
fn objection(relation: pg_sys::Oid) -> Result<Option<String>, Failure> {
    let Some(version) = text(
        "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'timescaledb'",
        &[],
    )?
    else {
        return Ok(Some(
            "extension timescaledb is not in this database".to_owned(),
        ));
    };
    if !is_safe(&version) {
        let (major, minor) = SINCE;
        return Ok(Some(format!(
            "TimescaleDB {version} is older than {major}.{minor}"
        )));
    }
    let query = "SELECT CASE
            WHEN pg_catalog.current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale'
                THEN 'TimescaleDB runs under its Apache licence, which has no columnstore'
            WHEN NOT EXISTS (SELECT FROM timescaledb_information.hypertables h
                    WHERE pg_catalog.format('%I.%I', h.hypertable_schema, h.hypertable_name)::pg_catalog.regclass = $1
                        AND h.compression_enabled)
                THEN 'the table is no hypertable with a columnstore'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger t
                    WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND t.tgname <> 'ts_insert_blocker')
                THEN 'the table has triggers'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_index i
                    WHERE i.indrelid = $1 AND (i.indisunique OR i.indisexclusion))
                THEN 'the table has a unique index or an exclusion constraint'
        END";
    text(query, &[relation.into()])
}

/// Returns the text that a query of one column gives; `None` for NULL or no row.
fn text(query: &str, args: &[pgrx::datum::DatumWithOid<'_>]) -> Result<Option<String>, Failure> {
    Spi::connect(|client| {
        let rows = client.select(query, Some(1), args)?;
        Ok(match rows.into_iter().next() {
            Some(row) => row.get::<String>(1)?,
            None => None,
        })
    })
}

/// Returns whether this version of TimescaleDB is [`SINCE`] or later.
fn is_safe(version: &str) -> bool {
    let mut numbers = version
        .split(['.', '-'])
        .map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next()) >= SINCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_safe("2.29.0") && is_safe("2.30.0-dev") && is_safe("3.0"));
        assert!(!is_safe("2.28.1") && !is_safe("2.3.1") && !is_safe("") && !is_safe("two"));
    }
}
