//! Waiting for a stream sequence: a client that has published a message reads what became of it.

use crate::config;
use crate::error::{UserError, or_raise};
use crate::pg::latch::{self, WaitEvent};
use crate::status::page;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// Between two looks. Workers do not know who waits.
const STEP: Duration = Duration::from_millis(5);

/// Whether the sequence was recorded in time.
#[pg_extern]
fn sr_event_writer_wait(name: &str, sequence: i64, timeout: Interval) -> bool {
    or_raise(wait(name, sequence, timeout))
}

fn wait(name: &str, sequence: i64, timeout: Interval) -> Result<bool, UserError> {
    if !config::pipeline_names().iter().any(|known| known == name) {
        return Err(UserError::UnknownPipeline(name.to_owned()));
    }
    let micros = u64::try_from(timeout.as_micros().max(0)).unwrap_or(u64::MAX);
    let (began, longest) = (Instant::now(), Duration::from_micros(micros));
    let event = WaitEvent::register(c"SrEventWriterWait");
    loop {
        latch::reset();
        check_for_interrupts!();
        if is_recorded(name, sequence)? {
            return Ok(true);
        }
        let left = longest.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        latch::wait(event, left.min(STEP));
    }
}

/// What the workers show of a pipeline.
struct Shown {
    stream: String,
    created: i64,
    floor: u64,
    last: u64,
}

/// The page answers most questions. What lies between floor and last sequence, or a page that no
/// worker of this server has written yet (after a start, on a standby), is looked up in the table.
fn is_recorded(name: &str, sequence: i64) -> Result<bool, UserError> {
    let Ok(wanted) = u64::try_from(sequence) else {
        return Ok(true);
    };
    let shown = page::stream(name, |stream| Shown {
        stream: stream.nats_stream.get().to_owned(),
        created: stream.stream_created,
        floor: stream.floor,
        last: stream.last_sequence,
    });
    match shown.filter(|shown| shown.created != 0) {
        Some(shown) if wanted <= shown.floor => Ok(true),
        Some(shown) if wanted > shown.last => Ok(false),
        Some(shown) => recorded_in_table(name, sequence, Some((&shown.stream, shown.created))),
        None => recorded_in_table(name, sequence, None),
    }
}

/// Without a stream, that which the pipeline has written from last.
fn recorded_in_table(
    name: &str,
    sequence: i64,
    source: Option<(&str, i64)>,
) -> Result<bool, UserError> {
    let query = c"SELECT FROM (
            SELECT p.floor, p.above FROM sr_event_writer.stream_position p
            WHERE p.pipeline = $1 AND ($3 IS NULL OR p.stream = $3 AND p.stream_created = $4)
            ORDER BY p.updated_at DESC LIMIT 1) newest
        WHERE $2 <= newest.floor OR newest.above OPERATOR(pg_catalog.@>) $2";
    let created = source.and_then(|(_, created)| TimestampWithTimeZone::try_from(created).ok());
    let arguments = [
        (name.into_datum(), pg_sys::TEXTOID),
        (sequence.into_datum(), pg_sys::INT8OID),
        (
            source.map(|(stream, _)| stream).into_datum(),
            pg_sys::TEXTOID,
        ),
        (created.into_datum(), pg_sys::TIMESTAMPTZOID),
    ];
    let mut types = arguments.map(|(_, oid)| oid);
    let nulls = arguments.map(|(datum, _)| if datum.is_some() { b' ' } else { b'n' });
    let mut values = arguments.map(|(datum, _)| datum.unwrap_or(pg_sys::Datum::null()));
    Spi::connect(|_| {
        // SAFETY: inside an SPI connection; the arrays have one element for each argument. The
        // newest snapshot, whatever the transaction's own is: the commit that is waited for comes
        // after the statement began. An error ends both with the transaction.
        let (code, found) = unsafe {
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            let code = pg_sys::SPI_execute_with_args(
                query.as_ptr(),
                4,
                types.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_ptr().cast(),
                true,
                1,
            );
            pg_sys::PopActiveSnapshot();
            (code, pg_sys::SPI_processed > 0)
        };
        Spi::check_status(code)?;
        Ok(found)
    })
}
