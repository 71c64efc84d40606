//! A restore to an earlier time: later messages are read again, and those that no longer exist are
//! a gap.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pg_test::directory::Directory;
use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

/// Without a unique key, and with one.
const FEEDS: [Feed; 2] = [Feed::Netflow, Feed::Events];

async fn publish(stack: &Stack, numbers: std::ops::Range<u64>) {
    for feed in FEEDS {
        let messages = Generator::new(70).range(feed, numbers.clone());
        stack.nats.publish_messages(messages).await;
    }
}

async fn expect(stack: &Stack, count: u64) {
    for feed in FEEDS {
        stack.expect_rows(feed, count, SOON).await;
        stack.expect_all_acknowledged(feed).await;
        assert_eq!(stack.dead_letters(feed).await.unwrap(), 0);
    }
}

/// Ends the current part of the log, and waits until it is in the archive.
async fn archive_the_log(stack: &Stack) {
    let name: String = stack
        .pg
        .value("SELECT pg_walfile_name(pg_switch_wal())")
        .await;
    let sql = "SELECT last_archived_wal FROM pg_stat_archiver";
    eventually(SOON, format!("{name} is archived"), async || {
        match stack.pg.try_value::<Option<String>>(sql).await {
            Ok(Some(last)) if last >= name => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_to_an_earlier_moment_reads_again_what_it_lacks_and_records_what_is_gone() {
    let archive = Directory::temporary("archive");
    // The server runs as another user.
    fs::set_permissions(archive.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let copy = format!("cp %p {}/%f", archive.path().display());
    let mut stack = Stack::builder()
        .setting("archive_mode", "on")
        .setting("archive_command", &copy)
        .start()
        .await;
    publish(&stack, 0..100).await;
    expect(&stack, 100).await;
    let backup = stack.pg.create_base_backup().await;
    publish(&stack, 100..200).await;
    expect(&stack, 200).await;
    let moment: String = stack
        .pg
        .value("SELECT pg_current_wal_insert_lsn()::text")
        .await;
    publish(&stack, 200..300).await;
    expect(&stack, 300).await;
    archive_the_log(&stack).await;

    // The stream no longer holds half of what the restored server is going to lack.
    for feed in FEEDS {
        let context = stack.nats.jetstream().await;
        let stream = context.get_stream(feed.stream()).await.unwrap();
        stream.purge().sequence(251).await.expect("a purge");
    }
    stack.pg.kill_all().await;
    backup.recover_until(archive.path(), &moment);
    backup.start().await;
    stack.pg = backup;
    expect(&stack, 250).await;
    assert!(!stack.pg.is_in_recovery().await);

    for feed in FEEDS {
        let sql = "SELECT first_sequence, last_sequence FROM sr_event_writer.stream_gap
            WHERE pipeline = $1";
        let gap = stack.pg.query_one(sql, &[&feed.name()]).await;
        assert_eq!((gap.get(0), gap.get(1)), (201_i64, 250_i64), "{feed:?}");
    }
    publish(&stack, 300..320).await;
    expect(&stack, 270).await;
}
