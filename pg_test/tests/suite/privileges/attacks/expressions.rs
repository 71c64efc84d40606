//! By expressions, casts and operators that writing a row evaluates.

use super::attack::{Attack, operators};
use super::{BOTH, HIS_FIRST, INSERTED};
use pg_test::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn by_a_default() {
    let mut attack = Attack::prepared(
        "ALTER TABLE platform.logs ADD COLUMN hit boolean DEFAULT platform.attack('default')",
    )
    .await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_an_index_expression() {
    let mut attack = Attack::prepared(
        "CREATE INDEX ON platform.logs (platform.pure('index', body));
         CREATE UNIQUE INDEX ON platform.logs (span_id, platform.pure('unique index', body))",
    )
    .await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_an_index_expression_that_is_evaluated_when_the_index_is_looked_at() {
    let mut attack = Attack::prepared(
        "CREATE INDEX ON platform.logs ((platform.pure('constant', 'of no column')))",
    )
    .await;
    attack.provoke().await;
    attack.heard().await;
    attack.nothing_was_gained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_predicate_of_an_index() {
    let mut attack = Attack::prepared(
        "CREATE INDEX ON platform.logs (body) WHERE platform.pure('predicate', body);
         CREATE INDEX ON platform.logs (body) WHERE platform.pure('predicate', 'constant')",
    )
    .await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_check_constraint() {
    let mut attack = Attack::prepared(
        "ALTER TABLE platform.logs ADD CHECK (platform.attack('check'));
         ALTER TABLE platform.logs ADD CHECK (platform.pure('check', 'constant'))",
    )
    .await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_domain() {
    let mut attack = Attack::prepared(
        "CREATE DOMAIN platform.words AS text DEFAULT 'word'
            CHECK (platform.pure('domain', VALUE));
         ALTER TABLE platform.logs ALTER body TYPE platform.words;
         ALTER TABLE platform.logs ADD COLUMN more platform.words",
    )
    .await;
    attack.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_domain_that_no_message_has_a_value_for() {
    let mut attack = Attack::prepared(
        "CREATE DOMAIN platform.words AS text DEFAULT 'word'
            CHECK (platform.pure('domain', VALUE));
         ALTER TABLE platform.logs ADD COLUMN more platform.words",
    )
    .await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_generated_column() {
    let mut attack = Attack::prepared(
        "ALTER TABLE platform.logs ADD COLUMN hit boolean
            GENERATED ALWAYS AS (platform.pure('generated', body)) STORED",
    )
    .await;
    attack.withstands(&BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_cast_to_a_type_of_his_own() {
    let mut attack = Attack::prepared(
        "CREATE TYPE platform.pair AS (word text);
         CREATE FUNCTION platform.to_pair(word text) RETURNS platform.pair LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM platform.attack('cast');
            RETURN ROW(word)::platform.pair;
         END $$;
         CREATE CAST (text AS platform.pair) WITH FUNCTION platform.to_pair AS IMPLICIT;
         ALTER TABLE platform.logs ALTER body TYPE platform.pair USING NULL",
    )
    .await;
    attack.withstands(&INSERTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_operators_in_a_schema_of_the_search_path() {
    let builder = Stack::builder().plain_tables();
    let mut attack = Attack::built(builder, HIS_FIRST, &operators()).await;
    attack.provoke().await;
    // The tables are looked up again.
    let alter = "ALTER TABLE platform.logs SET (fillfactor = 90)";
    attack.stack.pg.execute(alter).await;
    attack.provoke().await;
    attack.nothing_was_gained().await;
}
