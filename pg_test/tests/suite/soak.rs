//! The account at the end of a soak run detects lost and duplicated messages.

use pg_test::feed::Feed;
use pg_test::soak::{self, End, Fault, Plan, Report};

use crate::fixtures::FAULTY_LIBRARY;

/// A run with few faults over a build that does something wrong.
async fn run_faulty(fault: &str, kind: Fault) -> Report {
    let settings = [
        FAULTY_LIBRARY,
        // Its misbehaviour; the setting exists only in the build with faults.
        ("sr_event_writer.fault", fault),
    ];
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let plan = Plan {
        seed: 7,
        kinds: vec![kind],
        end: End::Faults(3),
        settings: settings.map(own).into(),
    };
    let report = soak::run(&plan).await;
    println!("{report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_tells_messages_that_were_acknowledged_too_early_and_lost() {
    let report = run_faulty("ack_before_commit", Fault::KillWorkerInLock).await;
    assert!(!report.account.lost.is_empty(), "{report}");
    assert!(!report.is_good());
    assert_eq!(report.account.duplicated, [], "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_tells_messages_that_were_written_twice_without_a_position() {
    let report = run_faulty("forget_position", Fault::KillWorker).await;
    // Feeds whose streams keep messages that were read.
    for feed in [Feed::Telemetry, Feed::Events, Feed::OtelTraces, Feed::Logs] {
        let doubled = report.account.duplicated.iter();
        let doubled = doubled.filter(|(of, _)| *of == feed);
        assert!(doubled.count() > 10, "{feed:?}: {report}");
    }
    assert!(!report.is_good());
    assert_eq!(report.account.lost, [], "{report}");
}

/// The same few faults over a build that does everything right.
#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_even_when_nothing_is_done_wrong() {
    for kind in [Fault::KillWorkerInLock, Fault::KillWorker] {
        let report = run_faulty("none", kind).await;
        assert!(report.is_good(), "{report}");
    }
}
