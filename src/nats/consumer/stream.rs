//! Finds the stream of a pipeline.

use crate::error::SessionError;
use crate::settings::PipelineSettings;
use crate::stream_id::StreamId;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, context::GetStreamByNameErrorKind, context::GetStreamErrorKind};
use row::Timestamp;

/// Finds the stream by its name or, if none is configured, by the pipeline's first subject.
pub(crate) async fn find(
    context: &jetstream::Context,
    pipeline: &PipelineSettings,
) -> Result<Stream, SessionError> {
    let name = match &pipeline.stream {
        Some(name) => name.clone(),
        None => by_subject(context, pipeline).await?,
    };
    context
        .get_stream(&name)
        .await
        .map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(ref cause)
                if cause.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND =>
            {
                SessionError::StreamMissing { stream: name }
            }
            _ => error.into(),
        })
}

async fn by_subject(
    context: &jetstream::Context,
    pipeline: &PipelineSettings,
) -> Result<String, SessionError> {
    let subject = pipeline.subjects.first().cloned().unwrap_or_default();
    context
        .stream_by_subject(subject.clone())
        .await
        .map_err(|error| match error.kind() {
            GetStreamByNameErrorKind::NotFound => SessionError::NoStreamForSubject { subject },
            _ => error.into(),
        })
}

/// Returns the identity of this incarnation of the stream.
pub(crate) fn id(stream: &Stream) -> StreamId {
    let info = stream.cached_info();
    StreamId {
        name: info.config.name.clone(),
        created: Timestamp::from_unix_nanos(info.created.unix_timestamp_nanos())
            .unwrap_or_default(),
    }
}
