//! Waiting for a stream sequence: a client that has published a message reads what became of it.

use super::require_pipeline;
use crate::catalog::position;
use crate::error::{UserError, or_raise};
use crate::pg::latch::{self, WaitEvent};
use crate::status;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// Delay between two looks: workers do not know who waits.
const STEP: Duration = Duration::from_millis(5);

/// Returns whether the sequence was recorded before the timeout.
#[pg_extern]
fn sr_event_writer_wait(name: &str, sequence: i64, timeout: Interval) -> bool {
    or_raise(wait(name, sequence, timeout))
}

fn wait(name: &str, sequence: i64, timeout: Interval) -> Result<bool, UserError> {
    require_pipeline(name)?;
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

/// Returns whether a sequence is recorded. Shared memory answers most questions. What lies between
/// floor and last sequence, or what no worker of this server has shown yet (after a start, on a
/// standby), is looked up in the table.
fn is_recorded(name: &str, sequence: i64) -> Result<bool, UserError> {
    let Ok(wanted) = u64::try_from(sequence) else {
        return Ok(true);
    };
    let shown = status::pipeline(name, |stream| Shown {
        stream: stream.nats_stream.get().to_owned(),
        created: stream.stream_created,
        floor: stream.floor,
        last: stream.last_sequence,
    });
    match shown.filter(|shown| shown.created != 0) {
        Some(shown) if wanted <= shown.floor => Ok(true),
        Some(shown) if wanted > shown.last => Ok(false),
        Some(shown) => Ok(position::is_recorded(
            name,
            sequence,
            Some((&shown.stream, shown.created)),
        )?),
        None => Ok(position::is_recorded(name, sequence, None)?),
    }
}
