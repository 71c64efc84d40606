//! Deferred constraints and triggers: they run as the table's owner and cost only their row, like
//! all others.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually_equal;

const FEED: Feed = Feed::Logs;

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_trigger_runs_as_the_owner_and_costs_only_the_row_that_it_refuses() {
    let stack = Stack::builder().plain_tables().disabled().start().await;
    // Message 10 is refused: its marker is the text of the number in hexadecimal.
    stack
        .pg
        .execute(
            "CREATE ROLE app;
             ALTER TABLE logs OWNER TO app;
             CREATE TABLE seen (who text, super boolean);
             GRANT INSERT ON seen TO app;
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
               IF NEW.span_id ~ '^0*a$' THEN RAISE EXCEPTION 'not this one'; END IF;
               INSERT INTO public.seen SELECT current_user, rolsuper FROM pg_roles
                 WHERE rolname = current_user;
               RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER note AFTER INSERT ON logs DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .await;
    let messages = Generator::new(90).range(FEED, 0..100);
    stack.nats.publish_messages(messages).await;
    stack.enable().await;
    stack.expect_rows(FEED, 99, SOON).await;
    eventually_equal(SOON, "dead letters", 1, async || {
        stack.dead_letters(FEED).await
    })
    .await;
    let sql = "SELECT who, super, count(*) FROM seen GROUP BY 1, 2";
    let row = stack.pg.query_one(sql, &[]).await;
    let found: (String, bool, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(found, ("app".to_owned(), false, 99));
    let sql = "SELECT stage || ' ' || error FROM sr_event_writer.dead_letter";
    let letter: String = stack.pg.value(sql).await;
    assert!(letter.contains("insert not this one"), "{letter}");
}
