//! All faults over seven live streams, in an order that `SR_SOAK_SEED` decides.
//!
//! The default seed is fixed, so that a failure is due to a change of the code; `make soak` takes
//! another seed each time. This is by far the longest test, and its name makes it start first.

use pg_test::soak::{self, End, Fault, Plan, Report};

use crate::fixtures::number;

/// Every kind once.
const FAULTS: usize = Fault::ALL.len();
const SEED: u64 = 1;

fn assert_no_server_panicked(report: &Report) {
    let bad = |line: &&str| line.contains("PANIC") || line.contains("TRAP");
    assert_eq!(report.log.lines().find(bad), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_by_faults_of_every_kind_over_seven_live_streams() {
    let seed = number("SR_SOAK_SEED", SEED);
    let report = soak::run(&Plan::everything(seed, End::Faults(FAULTS))).await;
    println!("{report}");
    if !report.is_good() {
        panic!("see {}\n{report}", report.keep_log().display());
    }
    assert_eq!(report.kinds().len(), Fault::ALL.len());
    assert!(report.account.rows > 10_000, "the streams were alive");
    assert!(
        report.inflicted.paired > 8,
        "two faults at a time: {report}"
    );
    // The faults hit something.
    let effects = &report.inflicted.effects;
    assert!(effects.workers.len() > 10, "workers were ended: {report}");
    assert!(effects.connections > 20, "connections were cut: {report}");
    assert!(effects.lost > 0, "frames were lost: {report}");
    assert!(effects.again > 0, "messages came again: {report}");
    assert!(
        report.account.in_gaps > 0,
        "messages were removed: {report}"
    );
    assert_no_server_panicked(&report);
}
