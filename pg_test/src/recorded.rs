//! Checks how far the database has recorded a stream.

use async_nats::jetstream::{self, stream};

use crate::feed::Feed;
use crate::nats::Access;
use crate::postgres::Postgres;

/// Returns the creation time of a stream, in microseconds since 1970.
pub fn created(info: &stream::Info) -> i64 {
    let created = info.created.unix_timestamp_nanos() / 1_000;
    created.try_into().expect("microseconds")
}

/// Returns SQL for the floor of the recorded position in the stream with this creation time; 0 if
/// there is none.
pub fn floor_of(feed: Feed, created: i64) -> String {
    let name = feed.name();
    format!(
        "SELECT coalesce(max(floor), 0) FROM sr_event_writer.stream_position
         WHERE pipeline = '{name}'
             AND (extract(epoch FROM stream_created) * 1000000)::bigint = {created}"
    )
}

/// Succeeds if the database has recorded everything that a stream holds. The error names what is
/// missing.
///
/// It is not enough that nothing is pending in NATS: that only means that the messages were
/// delivered, since most consumers take no acknowledgements.
pub async fn everything(pg: &Postgres, nats: &Access, feed: Feed) -> Result<(), String> {
    let context = jetstream::new(nats.try_client().await?);
    let stream = context.get_stream(feed.stream()).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let info = stream.cached_info();
    if let Some(cluster) = &info.cluster
        && cluster.leader.is_none()
    {
        return Err(format!("{} has no leader", feed.stream()));
    }
    let floor = pg.try_value::<i64>(&floor_of(feed, created(info))).await;
    let floor = floor.map_err(|failure| failure.to_string())?;
    let end = info.state.last_sequence;
    if floor.unsigned_abs() >= end {
        return Ok(());
    }
    Err(format!("{}: {floor} of {end} is recorded", feed.stream()))
}
