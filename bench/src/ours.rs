//! The extension: from the moment at which it is switched on, with all messages waiting, until the
//! last is acknowledged, which is after its commit is on the disk.

use crate::ground::Ground;
use crate::measure::{Meter, Round};
use crate::workload::Workload;

/// One round.
pub async fn round(ground: &Ground, workload: &Workload) -> Result<Round, String> {
    let feed = workload.feed;
    ground.forget_position(feed).await;
    let pg = &ground.stack.pg;
    let worker = pg.worker_pid().await;
    let mut meter = Meter::start(pg.postmaster_pid());
    meter.watch(worker);
    ground.stack.enable().await;
    ground.drained(feed, &feed.consumer()).await?;
    let round = meter.stop();
    ground.stack.disable().await;
    Ok(round)
}
