//! Dead letters of a pipeline whose definition is refused stay as they are.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::Failure;
use pg_test::stack::{SOON, Stack};

use super::{FEED, five_refused, ids, letters, mend, replay, resolutions};
use crate::fixtures::stream_is;

/// Options that the setting accepts and the pipeline does not: its processor fills one table.
const TWO_TABLES: &str = "table=netflow_metrics,more";
/// The reason that is given for them.
const REASON: &str = "processor NetFlow fills: 1, not 2";

/// Five dead letters of `netflow`, whose definition is refused, and three of `logs`. The tables
/// would take all of them.
async fn letters_of_a_refused_pipeline() -> Stack {
    let stack = five_refused().await;
    let add = "ALTER TABLE logs ADD CONSTRAINT none CHECK (span_id IS NULL)";
    stack.pg.execute(add).await;
    let messages = Generator::new(43).range(Feed::Logs, 0..3);
    stack.nats.publish_messages(messages).await;
    letters(&stack, 8).await;
    let drop = "ALTER TABLE logs DROP CONSTRAINT none";
    stack.pg.execute(drop).await;
    mend(&stack).await;
    let key = "sr_event_writer.stream_netflow";
    stack.pg.alter_system(key, TWO_TABLES).await;
    stream_is(&stack, FEED, "misconfigured").await;
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_a_refused_pipeline_stay_and_those_of_others_are_replayed() {
    let stack = letters_of_a_refused_pipeline().await;
    let client = stack.pg.connect().await;
    let by_name = "SELECT * FROM sr_event_writer_replay('netflow')";
    let failure = Failure::from(client.query(by_name, &[]).await.unwrap_err());
    assert_eq!(failure.sqlstate(), "F0000", "{failure}");
    assert_eq!(failure.message, "pipeline \"netflow\" is misconfigured");
    assert!(failure.detail.contains(REASON), "{failure}");
    assert!(failure.detail.contains("stream_netflow"), "{failure}");

    let by_id = replay(&stack, "ids => ARRAY[2]").await;
    assert_eq!(ids(&by_id), [2]);
    assert!(!by_id[0].ok && by_id[0].error.contains(REASON), "{by_id:?}");
    let outcomes = replay(&stack, "").await;
    let ok: Vec<bool> = outcomes.iter().map(|outcome| outcome.ok).collect();
    let expected = [false, false, false, false, false, true, true, true];
    assert_eq!(ok, expected, "{outcomes:?}");
    for outcome in &outcomes[..5] {
        let reason = &outcome.error;
        assert!(reason.contains("misconfigured"), "{outcome:?}");
        assert!(reason.contains(REASON), "{outcome:?}");
    }
    stack.expect_rows(Feed::Logs, 3, SOON).await;
    stack.expect_rows(FEED, 5, SOON).await;
    let resolution = |resolution: &str| Some(resolution.to_owned());
    assert_eq!(resolutions(&stack).await[..5], [const { None }; 5]);
    assert_eq!(
        resolutions(&stack).await[5..],
        ["replayed"; 3].map(resolution)
    );

    let discard = "SELECT sr_event_writer_discard(ARRAY[1])";
    assert_eq!(stack.pg.value::<i64>(discard).await, 1);
    stack
        .pg
        .alter_system("sr_event_writer.stream_netflow", "")
        .await;
    stream_is(&stack, FEED, "running").await;
    assert_eq!(ids(&replay(&stack, "'netflow'").await), [2, 3, 4, 5]);
    stack.expect_rows(FEED, 9, SOON).await;
}
