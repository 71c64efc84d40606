//! The cost of seven idle pipelines, and of reading their status.

use std::time::Duration;

use pg_test::feed::Feed;
use pg_test::stack::Stack;
use pg_test::wait;
use tokio::time::{Instant, interval};

use crate::measure::cluster_cpu;

const SOON: Duration = Duration::from_secs(30);
/// Duration of a measurement. It is long enough for hundredths of a percent, because processor time
/// is counted in steps of 10 ms.
const SPAN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(1);

/// Measures and prints the costs.
pub async fn measure() -> Result<(), String> {
    let without = Stack::builder().disabled().try_start().await?;
    let floor = busy(&without, false).await?;
    drop(without);
    let stack = Stack::builder().try_start().await?;
    wait::eventually(SOON, "all pipelines run", async || {
        for feed in Feed::ALL {
            let status = stack.stream_status(feed).await.map_err(|e| e.to_string())?;
            if status["state"] != "running" {
                return Err(format!("{}: {}", feed.name(), status["state"]));
            }
        }
        Ok(())
    })
    .await;
    let idle = busy(&stack, false).await?;
    let watched = busy(&stack, true).await?;
    println!(
        "{:<52}{:>12}",
        "all processes of the cluster", "% of a core"
    );
    println!("{:<52}{floor:>12.2}", "switched off");
    println!("{:<52}{idle:>12.2}", "seven idle pipelines");
    println!(
        "{:<52}{watched:>12.2}",
        "the same, status and stream_status asked each second"
    );
    Ok(())
}

/// Returns the part of one core that the cluster uses, in percent.
async fn busy(stack: &Stack, watched: bool) -> Result<f64, String> {
    let postmaster = stack.pg.postmaster_pid();
    let session = stack.pg.connect().await;
    let mut ticks = interval(LOOK);
    ticks.tick().await;
    let (began, before) = (Instant::now(), cluster_cpu(postmaster));
    while began.elapsed() < SPAN {
        ticks.tick().await;
        if watched {
            let asked = session
                .batch_execute(
                    "SELECT sr_event_writer_status(); SELECT * FROM sr_event_writer.stream_status",
                )
                .await;
            asked.map_err(|error| error.to_string())?;
        }
    }
    let used = cluster_cpu(postmaster) - before;
    Ok(used / began.elapsed().as_secs_f64() * 100.0)
}
