//! Waits until a stream sequence is recorded, so that a client can read the rows of a message that
//! it has published.

use super::{require_configured, require_pipeline};
use crate::catalog::position;
use crate::error::{UserError, or_raise};
use crate::pg::latch::{self, WaitEvent};
use crate::status;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// Interval between two checks. It has to poll, because workers do not know who waits.
const STEP: Duration = Duration::from_millis(5);

/// Waits until a sequence is recorded. Returns false if it was not before the timeout.
#[pg_extern]
fn sr_event_writer_wait(name: &str, sequence: i64, timeout: Interval) -> bool {
    or_raise(wait(name, sequence, timeout))
}

/// Polls until the sequence is recorded or the timeout has passed.
///
/// # Errors
/// When there is no such pipeline, when it is misconfigured and the sequence not recorded, and
/// those of the database.
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
        require_configured(name)?;
        let left = longest.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        latch::wait(event, left.min(STEP));
    }
}

/// A pipeline's position in shared memory.
struct Shown {
    /// Name of the JetStream stream.
    stream: String,
    /// Creation time of the stream, in microseconds since 2000-01-01; 0 if no worker has reported
    /// it.
    created: i64,
    /// Sequence up to which everything is recorded.
    floor: u64,
    /// Highest recorded sequence.
    last: u64,
}

/// Returns whether a sequence is recorded. In most cases shared memory is enough. The table is read
/// for sequences between the floor and the last sequence, and for pipelines that no worker of this
/// server has reported (after a start, on a standby).
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
