//! Reading one's own writes on a standby.

use crate::standby::{KEPT, primary, publish, synchronous_standby};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_on_a_standby_waits_until_a_row_has_come_there() {
    let stack = primary("flush").await;
    let standby = synchronous_standby(&stack.pg, "standby1").await;
    let session = standby.connect().await;
    let early = "SELECT sr_event_writer_wait('netflow', 10, '100 ms')";
    let known: bool = session
        .query_one(early, &[])
        .await
        .expect("an answer")
        .get(0);
    assert!(!known, "nothing was published yet");
    let wait = "SELECT sr_event_writer_wait('netflow', 10, '60 s')";
    let (found, ()) = tokio::join!(session.query_one(wait, &[]), publish(&stack, 0..10));
    assert!(found.expect("an answer").get::<_, bool>(0));
    let sql = format!("SELECT count(*) FROM {}", KEPT.table());
    assert_eq!(standby.value::<i64>(&sql).await, 10);
}
