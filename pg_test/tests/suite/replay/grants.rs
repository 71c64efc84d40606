//! Who may replay dead letters, and call what else changes the state of a pipeline.

use pg_test::postgres::Failure;
use pg_test::stack::SOON;
use pg_test::wait::eventually;

use super::{five_refused, mend, resolutions};

#[tokio::test(flavor = "multi_thread")]
async fn only_who_was_granted_it_may_replay_discard_move_wait_and_restart() {
    let stack = five_refused().await;
    mend(&stack).await;
    stack
        .pg
        .execute("CREATE ROLE nobody_special LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
        .await;
    let calls = [
        "SELECT sr_event_writer_wait('netflow', 1)",
        "SELECT sr_event_writer_restart()",
        "SELECT * FROM sr_event_writer_replay(dry_run => true)",
        "SELECT * FROM sr_event_writer_replay(ids => ARRAY[1])",
        "SELECT sr_event_writer_discard(ARRAY[2])",
        "SELECT sr_event_writer_pause('netflow')",
        "SELECT sr_event_writer_seek('netflow', 1)",
        "SELECT sr_event_writer_seek('netflow', now())",
    ];
    for role in ["nobody_special", "watcher"] {
        let client = stack.pg.connect_as(role, "postgres").await;
        for sql in calls {
            let failure = client.batch_execute(sql).await.unwrap_err();
            let failure = Failure::from(failure);
            assert_eq!(failure.sqlstate(), "42501", "{role}: {sql}: {failure}");
        }
    }
    stack
        .pg
        .execute(
            "GRANT EXECUTE ON FUNCTION sr_event_writer_wait, sr_event_writer_restart,
                 sr_event_writer_replay, sr_event_writer_discard, sr_event_writer_pause,
                 sr_event_writer_seek(text, bigint, boolean),
                 sr_event_writer_seek(text, timestamptz, boolean) TO nobody_special",
        )
        .await;
    let client = stack.pg.connect_as("nobody_special", "postgres").await;
    for sql in calls {
        let done = client.batch_execute(sql).await;
        done.unwrap_or_else(|e| panic!("{sql}: {}", Failure::from(e)));
    }
    eventually(SOON, "letter 1 is replayed", async || {
        resolutions(&stack).await[0].as_deref() == Some("replayed")
    })
    .await;
}
