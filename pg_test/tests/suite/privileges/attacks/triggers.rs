//! By triggers: on the destination, on events, and such as want to end the session.

use super::attack::{ATTACK_BEFORE_EACH_ROW, Attack, operators, trigger};
use super::{BOTH, refused};
use pg_test::stack::Stack;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_before_each_row_and_operators_for_whoever_keeps_his_search_path() {
    let sql = format!("{ATTACK_BEFORE_EACH_ROW} {}", operators());
    let mut attack = Attack::prepared(&sql).await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_after_the_statement() {
    let mut attack = Attack::prepared(
        "CREATE TRIGGER fire AFTER INSERT ON platform.logs
            FOR EACH STATEMENT EXECUTE FUNCTION platform.fire('trigger')",
    )
    .await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_that_makes_the_transaction_read_only() {
    let close = "BEGIN
            PERFORM platform.attack('trigger');
            SET transaction_read_only = on;
            RETURN NULL;
         END";
    let mut attack = Attack::prepared(&trigger("AFTER INSERT", "STATEMENT", close)).await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_constraint_trigger_that_he_puts_off_to_the_commit() {
    let put_off = "BEGIN
            SET CONSTRAINTS ALL DEFERRED;
            RETURN NEW;
         END";
    let mut attack = Attack::prepared(&format!(
        "{} CREATE CONSTRAINT TRIGGER fire AFTER INSERT ON platform.logs DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION platform.fire('deferred trigger')",
        trigger("BEFORE INSERT", "ROW", put_off)
    ))
    .await;
    attack.is_refused("deferred trigger").await;
}

/// Only a superuser can make one; this one calls what the attacker owns.
#[tokio::test(flavor = "multi_thread")]
async fn by_an_event_trigger_that_calls_what_is_his() {
    let events = ["ddl_command_start", "ddl_command_end", "sql_drop", "login"];
    let triggers = events.map(|event| {
        format!(
            "CREATE EVENT TRIGGER {event}_fire ON {event} EXECUTE FUNCTION platform.on_event();
             ALTER EVENT TRIGGER {event}_fire ENABLE ALWAYS;"
        )
    });
    let sql = format!(
        "{ATTACK_BEFORE_EACH_ROW}
         CREATE FUNCTION platform.on_event() RETURNS event_trigger LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM platform.attack('event trigger');
         END $$;
         RESET ROLE; {} SET ROLE app",
        triggers.concat()
    );
    // A hypertable needs a chunk for its first row.
    let builder = Stack::builder().without_keys();
    let mut attack = Attack::built(builder, "platform, public", &sql).await;
    attack.withstands(&BOTH).await;
    let session = attack.stack.pg.connect_as("app", "postgres").await;
    let sql = "CREATE EVENT TRIGGER his ON sql_drop EXECUTE FUNCTION platform.on_event()";
    assert_eq!(refused(&session, sql).await, "42501");
}

/// Temporary types come before all others in a function that does not mention `pg_temp`.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_temporary_type_that_the_code_of_another_owner_finds() {
    let hide = "BEGIN
            PERFORM platform.attack('trigger');
            CREATE DOMAIN pg_temp.word AS text CHECK (platform.pure('temporary type', VALUE));
            RETURN NULL;
         END";
    let mut attack = Attack::prepared(&format!(
        "{} RESET ROLE; CREATE SCHEMA other AUTHORIZATION other_owner;
         CREATE DOMAIN other.word AS text;
         CREATE FUNCTION other.check_it() RETURNS trigger LANGUAGE plpgsql SET search_path = other AS $$
         BEGIN
            PERFORM 'word'::word;
            RETURN NEW;
         END $$;
         CREATE TRIGGER check_it BEFORE INSERT ON public.netflow_metrics
            FOR EACH ROW EXECUTE FUNCTION other.check_it();
         SET ROLE app",
        trigger("AFTER INSERT", "STATEMENT", hide)
    ))
    .await;
    attack.is_refused("temporary").await;
}

/// Code that ends a session or never ends does not stop other pipelines for good.
#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_that_wants_the_session_to_end_with_its_error() {
    let end_it = "BEGIN
            BEGIN
                SET exit_on_error = on;
            EXCEPTION WHEN insufficient_privilege THEN
                PERFORM platform.attack('trigger');
            END;
            RAISE EXCEPTION 'the end' USING ERRCODE = '42P01';
         END";
    let mut attack = Attack::prepared(&trigger("BEFORE INSERT", "STATEMENT", end_it)).await;
    attack.stops_nobody("the end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_that_wants_the_session_to_end_in_time() {
    let end_it = "BEGIN
            SET transaction_timeout = '1ms';
            PERFORM pg_sleep(0.1);
            RETURN NEW;
         END";
    let mut attack = Attack::prepared(&trigger("BEFORE INSERT", "STATEMENT", end_it)).await;
    attack.stops_nobody("transaction_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_trigger_that_does_not_let_itself_be_cancelled() {
    let builder = Stack::builder()
        .plain_tables()
        .without_keys()
        .setting("sr_event_writer.insert_timeout", "1s");
    let stay = "BEGIN
            LOOP
                BEGIN
                    PERFORM pg_sleep(60);
                EXCEPTION WHEN query_canceled THEN
                    NULL;
                END;
            END LOOP;
         END";
    let stay = trigger("BEFORE INSERT", "STATEMENT", stay);
    let mut attack = Attack::built(builder, "platform, public", &stay).await;
    attack.ours().await;
    let worker = attack.stack.pg.worker_pid().await;
    attack.few_of_theirs().await;
    attack.is_writing().await;
    // The next process may come to the same table first.
    attack.ours_within(Duration::from_secs(100)).await;
    let now = attack.stack.pg.worker_pid().await;
    assert_ne!(now, worker, "it takes another process");
    attack.nothing_was_gained().await;
}
