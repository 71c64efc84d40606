//! Messages as an external writer would decode them: one struct for each kind of payload, which
//! borrows from it, without a JSON tree. They accept only the publisher's spelling, so they do less
//! than the extension's decoders, which accept every spelling in `docs/formats.md`.

use std::borrow::Cow;
use std::error::Error;

use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// The structure of a payload, and the columns that it fills.
pub trait Shape: 'static {
    /// Names of the columns, in the order of [`Cells::cells`].
    const COLUMNS: &'static [&'static str];
    /// Types of the columns.
    const TYPES: &'static [Type];
    /// A decoded message.
    type Row<'a>: Deserialize<'a> + Cells + Neighbours;
}

/// The values of a message, one for each column.
pub trait Cells {
    /// Returns the values in the order of the columns.
    fn cells(&self) -> Vec<&(dyn ToSql + Sync)>;
}

/// The order of rows in an index that does not begin with the time.
pub trait Neighbours {
    /// Returns the sort key. Rows with smaller keys are written first; rows with equal keys stay in
    /// order of arrival.
    fn order(&self) -> Option<(i64, &str)>;
}

/// Declares the struct of a payload. Each field fills the column with its name.
macro_rules! shape {
    ($shape:ident, $row:ident { $($(#[$borrow:meta])? $field:ident: $type:ty = $sql:ident,)* }) => {
        #[doc = concat!("The shape of [`", stringify!($row), "`].")]
        pub struct $shape;

        /// A decoded message.
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
    /// Orders by hour, and hence by chunk, and then by device, as the index on the device does.
    fn order(&self) -> Option<(i64, &str)> {
        let hour = self.timestamp.as_ref()?.0 / MILLIS_PER_HOUR;
        Some((hour, self.device_id.as_ref()?.0.as_ref()))
    }
}

impl Neighbours for NetflowRow<'_> {
    /// Keeps the order of arrival, because the only index is on the time.
    fn order(&self) -> Option<(i64, &str)> {
        None
    }
}

/// Text, which is copied only if it contains escapes.
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

/// A JSON document, passed on unchanged.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Document<'a>(#[serde(borrow)] &'a RawValue);

impl ToSql for Document<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        // Version of jsonb's binary format; the text follows.
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

/// Milliseconds from the Unix epoch to 2000-01-01, where PostgreSQL's time begins.
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
