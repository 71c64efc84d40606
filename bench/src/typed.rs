//! Messages as an external writer would decode them: a struct for each payload, which borrows from
//! it, without a JSON tree. It expects exactly the publisher's spelling, so it does less than the
//! extension's decoders, which accept every spelling of `docs/formats.md`.

use std::borrow::Cow;
use std::error::Error;

use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A payload, and the columns that it fills.
pub trait Shape: 'static {
    /// The columns in the order of [`Cells::cells`].
    const COLUMNS: &'static [&'static str];
    /// Their types.
    const TYPES: &'static [Type];
    /// A decoded message.
    type Row<'a>: Deserialize<'a> + Cells + Neighbours;
}

/// One value for each column.
pub trait Cells {
    /// The values in the order of the columns.
    fn cells(&self) -> Vec<&(dyn ToSql + Sync)>;
}

/// Which rows lie together in an index that does not begin with the time.
pub trait Neighbours {
    /// Rows with smaller ones are written first; equal ones stay in the order of arrival.
    fn order(&self) -> Option<(i64, &str)>;
}

/// Declares a payload's struct; each field goes to the column of its name.
macro_rules! shape {
    ($shape:ident, $row:ident { $($(#[$borrow:meta])? $field:ident: $type:ty = $sql:ident,)* }) => {
        #[doc = concat!("The shape of [`", stringify!($row), "`].")]
        pub struct $shape;

        /// One message.
        #[derive(Deserialize)]
        pub struct $row<'a> {
            $($(#[$borrow])? $field: Option<$type>,)*
        }

        impl Cells for $row<'_> {
            fn cells(&self) -> Vec<&(dyn ToSql + Sync)> {
                vec![$(&self.$field,)*]
            }
        }

        impl Shape for $shape {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field),)*];
            const TYPES: &'static [Type] = &[$(Type::$sql,)*];
            type Row<'a> = $row<'a>;
        }
    };
}

shape!(Telemetry, TelemetryRow {
    timestamp: Millis = TIMESTAMPTZ,
    #[serde(borrow)] poller_id: Text<'a> = TEXT,
    #[serde(borrow)] agent_id: Text<'a> = TEXT,
    #[serde(borrow)] metric_name: Text<'a> = TEXT,
    #[serde(borrow)] metric_type: Text<'a> = TEXT,
    #[serde(borrow)] device_id: Text<'a> = TEXT,
    value: f64 = FLOAT8,
    #[serde(borrow)] unit: Text<'a> = TEXT,
    #[serde(borrow)] tags: Document<'a> = JSONB,
    #[serde(borrow)] partition: Text<'a> = TEXT,
    scale: f64 = FLOAT8,
    is_delta: bool = BOOL,
    #[serde(borrow)] target_device_ip: Text<'a> = TEXT,
    if_index: i32 = INT4,
    #[serde(borrow)] metadata: Document<'a> = JSONB,
});

shape!(Netflow, NetflowRow {
    timestamp: Millis = TIMESTAMPTZ,
    #[serde(borrow)] poller_id: Text<'a> = TEXT,
    #[serde(borrow)] agent_id: Text<'a> = TEXT,
    #[serde(borrow)] device_id: Text<'a> = TEXT,
    #[serde(borrow)] flow_direction: Text<'a> = TEXT,
    #[serde(borrow)] src_addr: Text<'a> = TEXT,
    #[serde(borrow)] dst_addr: Text<'a> = TEXT,
    src_port: i32 = INT4,
    dst_port: i32 = INT4,
    protocol: i32 = INT4,
    packets: i64 = INT8,
    octets: i64 = INT8,
    #[serde(borrow)] sampler_address: Text<'a> = TEXT,
    input_snmp: i32 = INT4,
    output_snmp: i32 = INT4,
    #[serde(borrow)] metadata: Document<'a> = JSONB,
});

impl Neighbours for TelemetryRow<'_> {
    /// By hour, hence by chunk, and then by device, as the index on the device has it.
    fn order(&self) -> Option<(i64, &str)> {
        let hour = self.timestamp.as_ref()?.0 / MILLIS_PER_HOUR;
        Some((hour, self.device_id.as_ref()?.0.as_ref()))
    }
}

impl Neighbours for NetflowRow<'_> {
    /// Its only index is on the time.
    fn order(&self) -> Option<(i64, &str)> {
        None
    }
}

/// Text, copied only when it has escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT
    }

    to_sql_checked!();
}

/// A JSON document, handed over as it is.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Document<'a>(#[serde(borrow)] &'a RawValue);

impl ToSql for Document<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        // The version of jsonb's binary form; text follows.
        out.put_u8(1);
        out.put_slice(self.0.get().as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

/// Unix time in milliseconds.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Millis(i64);

const MILLIS_PER_HOUR: i64 = 3_600_000;

/// From the Unix epoch to 2000-01-01, where PostgreSQL's time begins.
const EPOCH_SHIFT_MILLIS: i64 = 946_684_800_000;

impl ToSql for Millis {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64((self.0 - EPOCH_SHIFT_MILLIS) * 1000);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}
