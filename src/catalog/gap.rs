//! `sr_event_writer.stream_gap`: ranges of a stream that will never be read, with the reason.

use super::{created, to_bigint};
use crate::pg::failure::Failure;
use nats::StreamId;
use pgrx::prelude::*;

/// The reason for a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The stream removed its messages before they were read.
    Removed,
    /// `sr_event_writer_seek` skipped it. A later seek may close the gap again.
    Seek,
}

impl Reason {
    /// Returns the reason as it is stored in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Removed => "removed from the stream before they were read (limits or purge)",
            Reason::Seek => "seek",
        }
    }
}

/// Records ranges whose messages the stream removed, each as a row. They are logged in one line,
/// because a stream that keeps only the last message of each subject may have thousands of them.
/// Inside the transaction that moves the position past them.
pub fn record_removed(
    pipeline: &str,
    stream_id: &StreamId,
    gaps: &[(u64, u64)],
) -> Result<(), Failure> {
    let ((first, _), (_, last)) = match (gaps.first(), gaps.last()) {
        (Some(first), Some(last)) => (*first, *last),
        _ => return Ok(()),
    };
    insert(pipeline, stream_id, gaps, Reason::Removed)?;
    let ranges = match gaps.len() {
        1 => String::new(),
        count => format!(" ({count} ranges of them)"),
    };
    pipeline_warning!(
        pipeline,
        "sequences {first} to {last}{ranges} of JetStream stream \"{}\" were {}; see sr_event_writer.stream_gap",
        stream_id.name,
        Reason::Removed.as_str()
    );
    Ok(())
}

/// Records ranges, each as a row.
pub fn insert(
    pipeline: &str,
    stream_id: &StreamId,
    gaps: &[(u64, u64)],
    reason: Reason,
) -> Result<(), Failure> {
    let query = "INSERT INTO sr_event_writer.stream_gap
            (pipeline, stream, stream_created, first_sequence, last_sequence, reason)
        SELECT $1, $2, $3, gap.first, gap.last, $6
        FROM ROWS FROM (pg_catalog.unnest($4), pg_catalog.unnest($5)) AS gap(first, last)";
    let first = gaps.iter().map(|(first, _)| to_bigint(*first));
    let last = gaps.iter().map(|(_, last)| to_bigint(*last));
    let args = [
        pipeline.into(),
        stream_id.name.as_str().into(),
        created(stream_id)?.into(),
        first.collect::<Result<Vec<i64>, Failure>>()?.into(),
        last.collect::<Result<Vec<i64>, Failure>>()?.into(),
        reason.as_str().into(),
    ];
    Spi::connect_mut(|client| client.update(query, None, &args).map(drop))?;
    Ok(())
}

/// Removes the gaps with this reason that end at `sequence` or later, and returns them.
pub fn remove_from(
    pipeline: &str,
    stream_id: &StreamId,
    reason: Reason,
    sequence: u64,
) -> Result<Vec<(u64, u64)>, Failure> {
    let query = "DELETE FROM sr_event_writer.stream_gap
        WHERE pipeline = $1 AND stream = $2 AND stream_created = $3 AND reason = $4
            AND last_sequence >= $5
        RETURNING first_sequence, last_sequence";
    let args = [
        pipeline.into(),
        stream_id.name.as_str().into(),
        created(stream_id)?.into(),
        reason.as_str().into(),
        to_bigint(sequence)?.into(),
    ];
    let mut gaps = Vec::new();
    Spi::connect_mut(|client| {
        for row in client.update(query, None, &args)? {
            if let (Some(first), Some(last)) = (row.get::<i64>(1)?, row.get::<i64>(2)?) {
                gaps.push((first.unsigned_abs(), last.unsigned_abs()));
            }
        }
        Ok::<_, spi::Error>(())
    })?;
    Ok(gaps)
}
