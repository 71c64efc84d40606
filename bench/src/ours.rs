//! The extension: from the moment at which it is enabled, with all messages pending, until all of
//! them are recorded and the WAL is flushed.

use crate::ground::Ground;
use crate::measure::{Meter, Round};
use crate::workload::Workload;

/// Runs one round.
pub async fn round(ground: &Ground, workload: &Workload, messages: u64) -> Result<Round, String> {
    let feed = workload.feed;
    let pipeline = [feed.name()];
    ground.forget_position(feed).await;
    let total = ground.recorded(&pipeline).await? + messages as i64;
    let pg = &ground.stack.pg;
    let worker = pg.worker_pid().await;
    let mut meter = Meter::start(&ground.stack);
    meter.watch(worker);
    ground.stack.enable().await;
    ground.recorded_and_flushed(&pipeline, total).await?;
    let round = meter.stop();
    ground.stack.disable().await;
    Ok(round)
}
