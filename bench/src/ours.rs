//! The extension: from the moment at which it is enabled, with all messages pending, until all of
//! them are recorded and the WAL is flushed.

use crate::fixture::Fixture;
use crate::measure::{Meter, Round};
use crate::workload::Workload;

/// Runs one round.
pub async fn round(fixture: &Fixture, workload: &Workload, messages: u64) -> Result<Round, String> {
    let feed = workload.feed;
    let pipeline = [feed.name()];
    fixture.forget_position(feed).await;
    let total = fixture.recorded(&pipeline).await? + messages as i64;
    let pg = &fixture.stack.pg;
    let worker = pg.worker_pid().await;
    let mut meter = Meter::start(&fixture.stack);
    meter.watch(worker);
    fixture.stack.enable().await;
    fixture.recorded_and_flushed(&pipeline, total).await?;
    let round = meter.stop();
    fixture.stack.disable().await;
    Ok(round)
}
