//! All faults over seven live streams, in an order that `SR_SOAK_SEED` decides; and that the
//! account at the end finds what it is there to find.

use std::time::{Duration, SystemTime};

use pg_test::soak::{self, End, Fault, Plan, Report};

use crate::fixtures::number;

/// Enough for a round and a half of all kinds.
const FAULTS: usize = 62;

fn seed() -> u64 {
    let today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    number(
        "SR_SOAK_SEED",
        today.expect("after 1970").as_millis() as u64,
    )
}

fn assert_no_server_panicked(report: &Report) {
    let bad = |line: &&str| line.contains("PANIC") || line.contains("TRAP");
    assert_eq!(report.log.lines().find(bad), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_by_sixty_faults_over_seven_live_streams() {
    let report = soak::run(&Plan::everything(seed(), End::Faults(FAULTS))).await;
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert!(report.faults.len() >= 60 && report.kinds().len() >= 12);
    assert!(report.account.rows > 10_000, "the streams were alive");
    assert_no_server_panicked(&report);
}
