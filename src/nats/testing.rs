//! Values that several tests need: a stream, a pipeline, and messages of it.

use crate::batch::FetchedMessage;
use crate::settings::PipelineSettings;
use crate::stream_id::StreamId;
use bytes::Bytes;
use row::Timestamp;
use std::time::Duration;

/// Returns the identity of a stream.
pub(crate) fn stream_id() -> StreamId {
    StreamId {
        name: "S".to_owned(),
        created: Timestamp::default(),
    }
}

/// Returns the settings of a pipeline whose batches have `batch_size` messages, and up to
/// `max_batch_rows` under backlog.
pub(crate) fn pipeline(batch_size: usize, max_batch_rows: usize) -> PipelineSettings {
    PipelineSettings {
        name: "telemetry".to_owned(),
        format: decode::format("Telemetry").unwrap().clone(),
        stream: None,
        subjects: vec!["telemetry.>".to_owned()],
        batch_size,
        batch_timeout: Duration::from_secs(1),
        max_batch_rows,
        max_rate: 0,
        max_age: None,
        max_future: None,
    }
}

/// Returns a message of that pipeline.
pub(crate) fn message(sequence: u64) -> FetchedMessage {
    FetchedMessage {
        sequence,
        accounts_from: sequence,
        delivery_count: 1,
        published: Timestamp::default(),
        subject: "telemetry.a".into(),
        headers: None,
        payload: Bytes::from_static(b"{}"),
        reply: format!("reply.{sequence}").into(),
        reject: None,
    }
}
